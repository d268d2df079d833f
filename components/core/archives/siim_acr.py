"""SIIM-ACR Pneumothorax Segmentation (2019): DICOM files and masks of the pneumothorax, no reports.

`dicom-images-train/<study>/<series>/<image>.dcm` is an image; `train-rle.csv` holds a row a mask, ` -1` for none, and a
field without either is refused: it could mean both.
Every study is a patient of its own. Not read: `dicom-images-test`, which has no published masks.
Source: https://www.kaggle.com/c/siim-acr-pneumothorax-segmentation/data
"""

from collections.abc import Iterator

from components.core.archives.base import Archive, Entry, Label, Mask, problem_of
from components.core.archives.tables import read_rows

FOLDER, MASKS, PNEUMOTHORAX = "dicom-images-train", "train-rle", "pneumothorax"
NONE = "-1"
DIGITS = 9  # the whole grid has a million pixels
SIDE = 1024  # of the grid that runs count over, which is that of the published images


class SiimAcr(Archive):
    """The SIIM-ACR Pneumothorax layout (see the module)."""

    def entries(self) -> Iterator[Entry]:
        """See `Archive.entries`: the images on disk, then those of the table that are not there."""
        masks = self._masks()
        seen: set[str] = set()
        for uri in self.source.files(FOLDER):
            if uri.lower().endswith(".dcm"):
                parts = uri.split("/")
                image = parts[-1][:-4]
                name = uri if image in seen else image  # a name that stands twice tells nothing apart
                seen.add(image)
                own = masks.get(image)
                placed = len(parts) == 4
                yield Entry(
                    uri=uri,
                    image=name,
                    study=parts[1] if placed else uri,
                    patient=parts[1] if placed else uri,
                    labels=(Label(PNEUMOTHORAX, -1 if own is None else int(bool(own))),),
                    masks=tuple(Mask(PNEUMOTHORAX, runs, SIDE, SIDE) for runs in own or ()),
                    problem=problem_of(self.source, uri, "not_a_file") if placed else "unplaced",
                )
        for image in masks.keys() - seen:
            uri = f"{FOLDER}/{image}.dcm"
            yield Entry(uri=uri, image=image, study=image, patient=image, problem="file_missing")

    def _masks(self) -> dict[str, list[str]]:
        """The runs of every image of the table; an image without a pneumothorax has none."""
        masks: dict[str, list[str]] = {}
        without: set[str] = set()
        for number, row in enumerate(read_rows(self.source, MASKS, ("ImageId", "EncodedPixels")), start=1):
            image = row["ImageId"]
            own = masks.setdefault(image, [])
            try:
                if row["EncodedPixels"] == NONE:
                    without.add(image)
                else:
                    own.append(absolute_runs(row["EncodedPixels"]))
                if own and image in without:
                    raise ValueError(f"an image has a mask, and {NONE}, which says that it has none")
            except ValueError as error:
                raise ValueError(
                    f"{self.source.root}: the table {MASKS}, row {number} below the header: {error}"
                ) from None
        return masks


def absolute_runs(text: str) -> str:
    """Runs whose starts count from the end of the run before, as runs that all count from the first pixel.

    Raises:
        ValueError: the text is not pairs of whole numbers of at least 0, one pair or more.
    """
    numbers = text.split()
    if not numbers or len(numbers) % 2 or not all(number.isdecimal() and len(number) <= DIGITS for number in numbers):
        raise ValueError("the runs of a mask must be pairs of whole numbers")
    place, runs = 0, []
    for gap, length in zip(numbers[::2], numbers[1::2], strict=True):
        place += int(gap)
        runs += [str(place), length]
        place += int(length)
    return " ".join(runs)
