"""Names, ids and dates planted in every element of an object that can hold text reach no byte of any output."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from pydicom.datadict import DicomDictionary
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import ImplicitVRLittleEndian, JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless

from components.core import params as parameters
from tests.archive_files import picture, write
from tests.dicom_files import chest, radiograph

TEXT = {
    "AE": 16,
    "CS": 16,
    "LO": 64,
    "LT": 999,
    "PN": 64,
    "SH": 16,
    "ST": 999,
    "UC": 999,
    "UR": 999,
    "UT": 999,
    "AS": 4,
}
# What decides whether and how the pixels are read, and the facts that are kept: a closed list of words.
READ = {"PhotometricInterpretation", "Modality", "BodyPartExamined", "BurnedInAnnotation", "SpecificCharacterSet"}
DATE, UID, NUMBER = "19470813", "1.2.826.0.1.99887766", "8087654"


def planted(seed: int, syntax: pydicom.uid.UID) -> bytes:
    """An object with a mark in every text, date and uid element of the standard, also nested, in private elements,
    in the file's own head, and in the comments of its codestream."""
    dataset = pydicom.dcmread(io.BytesIO(radiograph(chest(seed=seed), syntax=syntax)))
    if syntax in COMMENTS:
        frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
        place, comment = COMMENTS[syntax](frame)
        commented = frame[:place] + comment + frame[place:]
        dataset.PixelData = encapsulate([commented + b"\0" * (len(commented) % 2)])
    fill(dataset, seed)
    item = Dataset()
    fill(item, seed)
    deeper = Dataset()
    deeper.RequestAttributesSequence = [item]
    deeper.ReferencedStudySequence = [item]
    dataset.RequestAttributesSequence = [deeper]
    block = dataset.private_block(0x11, "PlantedCreator", create=True)
    private = {"LO": "PlantedPrivate", "UN": b"PlantedUnknown", "OB": b"PlantedBytes", "SQ": Sequence([item])}
    for element, (vr, value) in enumerate(private.items(), start=1):
        block.add_new(element, vr, value)
    dataset.preamble = b"PlantedPreamble".ljust(128)
    meta = dataset.file_meta
    for keyword in ("SourceApplicationEntityTitle", "SendingApplicationEntityTitle", "ImplementationVersionName"):
        setattr(meta, keyword, "PlantedTitle")
    meta.PrivateInformationCreatorUID, meta.PrivateInformation = f"{UID}.77", b"PlantedInformation"
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def segment(marker: bytes, content: bytes) -> bytes:
    return marker + (len(content) + 2).to_bytes(2, "big") + content


JPEG_WORDS = segment(b"\xff\xe1", b"Exif\0\0PlantedExif") + segment(b"\xff\xfe", b"PlantedComment")
COMMENTS = {
    JPEGLosslessSV1: lambda _: (2, JPEG_WORDS),
    JPEGLSLossless: lambda _: (2, JPEG_WORDS),
    JPEG2000Lossless: lambda frame: (frame.index(b"\xff\x52"), segment(b"\xff\x64", b"\0\1PlantedComment")),
}


def fill(dataset: Dataset, seed: int) -> None:
    for number, (vr, _, _, retired, keyword) in DicomDictionary.items():
        tag = Tag(number)
        if retired or not keyword or keyword in READ or tag.group < 8 or tag.group in (0x0028, 0x7FE0):
            continue
        mark = f"Planted{tag.group:04X}{tag.element:04X}"
        value = {
            "DA": DATE,
            "DT": f"{DATE}081309",
            "TM": "081309",
            "UI": f"{UID}.{seed}.{number}",
            "IS": NUMBER,
            "DS": NUMBER,
        }
        if vr in TEXT:
            dataset.add_new(tag, vr, mark[: TEXT[vr]])
        elif vr in value:
            dataset.add_new(tag, vr, value[vr])


@pytest.mark.filterwarnings("ignore")  # of pydicom, about the planted values
@pytest.mark.parametrize("command", ["works", "fails"])
def test_nothing_planted_is_in_any_output_or_message(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    for seed, syntax in enumerate((ImplicitVRLittleEndian, *COMMENTS)):
        write(tmp_path, f"archive/Planted^folder/Planted{seed}.dcm", planted(seed, syntax))
    whole = planted(5, JPEG2000Lossless)
    write(tmp_path, "archive/Planted^folder/cut.dcm", whole[: len(whole) - 900])
    write(tmp_path, "archive/Planted^folder/noise.dcm", b"Planted^Noise")
    frame_at = whole.rindex(b"\xff\x93")
    write(tmp_path, "archive/Planted^folder/damaged.dcm", whole[:frame_at] + b"Planted" * 20 + whole[frame_at + 140 :])
    write(tmp_path, "archive/Planted^folder/other.dcm", radiograph(chest(), Modality="MR"))
    words = ("Modality", "BodyPartExamined", "BurnedInAnnotation", "PhotometricInterpretation")
    for seed, keyword in enumerate(words, start=8):
        write(tmp_path, f"archive/Planted^folder/{keyword}.dcm", radiograph(chest(seed=seed), **{keyword: "PLANTED"}))
    other_syntax = whole.replace(JPEG2000Lossless.encode(), f"{UID}.9".encode())
    write(tmp_path, "archive/Planted^folder/syntax.dcm", other_syntax)
    size = "64" if command == "works" else "1"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "components.ingest",
            "folder",
            str(tmp_path / "archive"),
            "--out",
            "out",
            "--size",
            size,
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(repository), "MEDSLIP_STATE_DIR": str(tmp_path / "state")},
        capture_output=True,
        check=False,
    )
    assert done.returncode == (0 if command == "works" else 2)
    said = done.stdout + done.stderr
    if command == "works":
        assert b"7 images, 6 rejected" in said  # a word that no list has is no objection, and is not kept
        assert np.load(tmp_path / "out/shard-00000.npy").shape == (7, 64, 64)
    outputs = [path for top in ("out", "state") for path in (tmp_path / top).rglob("*") if path.is_file()]
    assert_clean(said, outputs)


def assert_clean(said: bytes, outputs: list[Path]) -> None:
    """Nothing planted is in what a command said or in a file."""
    everything = {"messages": said, **{str(path): _as_text(path) for path in outputs}}
    for name in ("Planted", "PLANTED", DATE, UID, NUMBER, "081309"):
        assert [place for place, content in everything.items() if name.encode() in content] == []


def test_nothing_planted_in_a_picture_is_in_any_output(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(repository))
    monkeypatch.setenv("MEDSLIP_STATE_DIR", str(tmp_path / "state"))
    archive = tmp_path / "archive"
    words = PngInfo()
    for key, value in (("Author", "PlantedAuthor"), ("Comment", f"PlantedComment {DATE}")):
        words.add_text(key, value)
        words.add_itxt(key, value, zip=True)
    exif = Image.Exif()
    exif[0x010E] = "PlantedDescription"
    file = io.BytesIO()
    Image.fromarray(picture(1)).save(file, "PNG", pnginfo=words, exif=exif)
    write(archive, "train/Planted^a.png", file.getvalue())
    jpeg = bytes(imagecodecs.jpeg8_encode(picture(2), 90))
    write(archive, "train/Planted^b.jpg", jpeg[:2] + JPEG_WORDS + jpeg[2:])
    write(archive, "train/Planted^c.png", file.getvalue()[:200])
    lines = [f"{NUMBER}{name} Planted^{name} positive cohen\n" for name in ("a.png", "b.jpg", "c.png")]
    for table, content in (("train", "".join(lines)), ("val", ""), ("test", "")):
        write(archive, f"{table}.txt", content)
    settings = {"datasets": {"covidx_cxr4": {"root": str(archive)}}, "ingest": {"size": 32}}
    params = parameters.validate(parameters.overlay(parameters.read_yaml(repository / "params.yaml"), settings))
    (tmp_path / "params.yaml").write_text(params.model_dump_json(by_alias=True), "utf-8")
    said = b""
    for stage in ("inventory", "ingest"):
        done = subprocess.run(
            [sys.executable, "-m", f"components.{stage}", "covidx_cxr4"], cwd=tmp_path, capture_output=True, check=True
        )
        said += done.stdout + done.stderr
    figures = json.loads((tmp_path / "metrics/ingest/covidx_cxr4.json").read_bytes())
    assert (figures["manifest"], figures["rejected"]) == (2, 1)
    tops = ("data/images", "metrics", "state")  # not the inventory, which knows whose they are
    assert_clean(said, [path for top in tops for path in (tmp_path / top).rglob("*") if path.is_file()])


def _as_text(path: Path) -> bytes:
    """The bytes of a file, and of a table also the words in it, which are compressed there."""
    if path.suffix != ".parquet":
        return path.read_bytes()
    import pandas as pd

    return path.read_bytes() + pd.read_parquet(path).to_csv().encode()
