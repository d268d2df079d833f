"""The file format around a DICOM data set (PS3.10, 7): what listing and decoding both need of it."""

import io
import logging
import warnings
import zlib

DEFLATED, PLAIN = b"1.2.840.10008.1.2.1.99", b"1.2.840.10008.1.2.1\0\0\0"
LONG_VRS = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"UC", b"UN", b"UR", b"UT"))  # PS3.5, 7.1.2
PREFIX_END = 132
NAMES = ("PatientID", "StudyInstanceUID", "SOPInstanceUID", "AccessionNumber")
NAMES_WITHIN = 1 << 20  # bytes of a deflated data set in which its names are sought


def silence_pydicom() -> None:
    """What pydicom logs quotes the header: names and dates must not reach a log. It sets its level on import."""
    import pydicom  # noqa: F401

    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)


def end_of_meta(content: bytes) -> int:
    """Where the file meta information ends: group 0002, always explicit and little-endian."""
    place = PREFIX_END
    while content[place : place + 2] == b"\x02\0":
        long = content[place + 4 : place + 6] in LONG_VRS
        length = content[place + 8 : place + 12] if long else content[place + 6 : place + 8]
        place += (12 if long else 8) + int.from_bytes(length, "little")
    return place


def inflated(content: bytes, most: int, whole: bool = True) -> bytes:
    """A deflated object as an explicit one, others as they are.

    A few bytes may inflate to more than any memory holds: no more than `most` bytes of data set are made, and one more
    where there would be more.

    Raises:
        zlib.error: the data set is damaged, or ends early although it should be `whole`.
    """
    end = end_of_meta(content)
    if DEFLATED not in content[PREFIX_END:end]:
        return content
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    dataset = inflater.decompress(content[end:], most + 1)
    if whole and not inflater.eof and len(dataset) <= most:
        raise zlib.error
    return content[:end].replace(DEFLATED, PLAIN) + dataset


def header_names(head: bytes) -> dict[str, str]:
    """What the beginning of an object calls its patient, study and image: those of `NAMES` that stand in it."""
    from pydicom import dcmread  # half a second, which most archives do without

    silence_pydicom()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they quote the header
            plain = inflated(head, NAMES_WITHIN, whole=False)
            dataset = dcmread(io.BytesIO(plain), stop_before_pixels=True, specific_tags=list(NAMES))
            found = {name: str(dataset.get(name) or "").strip() for name in NAMES}
    except Exception:  # noqa: BLE001 - pydicom meets damaged bytes with whatever they lead to
        return {}
    return {name: value for name, value in found.items() if value}
