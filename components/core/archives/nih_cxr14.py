"""NIH ChestX-ray14: PNG files of 1024 x 1024, 14 classes told by the reports, boxes for some images.

`images_*/images/*.png` are the images, `Data_Entry_2017.csv` or its later edition `Data_Entry_2017_v2020.csv` has a row
for each, `BBox_List_2017.csv` the boxes, `test_list.txt` the official test; the images of `train_val_list.txt` are for
training and validation. An image that neither list names goes where the other images of its patient are.
Source: Wang et al., ChestX-ray8, CVPR 2017, and the read-me file of the data set at https://nihcc.app.box.com/v/ChestXray-NIHCC
"""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Literal

from components.core.archives.base import Archive, Box, Entry, Label, decode_text, problem_of
from components.core.archives.tables import box_of, has_table, read_rows

BOXES, TEST, OTHERS = "BBox_List_2017", "test_list.txt", "train_val_list.txt"
ENTRIES, LATER_ENTRIES = "Data_Entry_2017", "Data_Entry_2017_v2020"
CLASSES = (
    "Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Effusion", "Emphysema", "Fibrosis", "Hernia",
    "Infiltration", "Mass", "Nodule", "Pleural_Thickening", "Pneumonia", "Pneumothorax",
)  # fmt: skip
NO_FINDING = "No Finding"
BOX_NAMES = {"Infiltrate": "Infiltration"}  # the table of boxes has another word for it
ListedSplit = Literal["test", "not_test"]
BOX_AXES = ("Bbox [x", "y", "w", "h]")


class NihCxr14(Archive):
    """The NIH ChestX-ray14 layout (see the module)."""

    pictures = True

    def entries(self) -> Iterator[Entry]:
        """See `Archive.entries`: the table's images, then PNG files that it does not list."""
        places: dict[str, str] = {}
        for uri in self.source.files():
            if uri.lower().endswith(".png") and places.setdefault(PurePosixPath(uri).name, uri) != uri:
                yield Entry(uri=uri, image=uri, study=uri, patient=uri, problem="repeated")
        boxes, test, others = self._boxes(), self._list(TEST), self._list(OTHERS)
        if both := test & others:
            raise ValueError(
                f"the archive at {self.source.root} has {len(both)} images in both {TEST} and {OTHERS}, such as "
                f"{min(both)}: an image is for the test or not"
            )
        told: set[str] = set()
        listed = ("Image Index", "Finding Labels", "Patient ID", "Patient Age", "Patient Gender", "View Position")
        table = LATER_ENTRIES if has_table(self.source, LATER_ENTRIES) else ENTRIES
        rows = list(read_rows(self.source, table, listed))
        split_of = self._splits(rows, test, others)
        for number, row in enumerate(rows, start=1):
            image = row["Image Index"]
            uri = places.pop(image, "")
            yield Entry(
                uri=uri or image,
                image=image,
                study=image.rpartition(".")[0],  # the table does not say which images were taken together
                patient=row["Patient ID"] or image,
                split=split_of.get(image),
                view=row["View Position"],
                sex=row["Patient Gender"],
                age=self._age(row["Patient Age"]),
                labels=self._labels(row["Finding Labels"], f"the table {table}, row {number} below the header,"),
                boxes=tuple(boxes.get(image, ())),
                problem=self._problem(row, uri),
            )
            told.add(image)
        for image in sorted((boxes.keys() | test | others) - told):
            if image not in places:  # only the boxes or a list know it
                yield Entry(uri=image, image=image, study=image, patient=image, problem="file_missing")
        for uri in places.values():
            yield Entry(uri=uri, image=uri, study=uri, patient=uri, problem="unplaced")

    def _problem(self, row: dict[str, str], uri: str) -> str | None:
        if not uri:
            return "file_missing"
        return problem_of(self.source, uri) if row["Patient ID"] else "unplaced"

    @staticmethod
    def _splits(rows: list[dict[str, str]], test: frozenset[str], others: frozenset[str]) -> dict[str, ListedSplit]:
        """The split of the listed images, and of those that no list names but whose patient has listed ones."""
        own: dict[str, ListedSplit] = {**dict.fromkeys(others, "not_test"), **dict.fromkeys(test, "test")}
        of_patient = {row["Patient ID"]: own[row["Image Index"]] for row in rows if row["Image Index"] in own}
        unlisted = [row for row in rows if row["Image Index"] not in own and row["Patient ID"] in of_patient]
        return {**own, **{row["Image Index"]: of_patient[row["Patient ID"]] for row in unlisted}}

    def _list(self, uri: str) -> frozenset[str]:
        if not self.source.exists(uri):
            raise ValueError(f"the archive at {self.source.root} has no list {uri}")
        return frozenset(decode_text(self.source.read(uri)).split())

    def _labels(self, words: str, place: str) -> tuple[Label, ...]:
        found = set(words.split("|"))
        if found != {NO_FINDING} and not found <= set(CLASSES):
            raise ValueError(
                f"{self.source.root}: {place} holds neither {NO_FINDING} alone nor findings of {', '.join(CLASSES)}"
            )
        return tuple(Label(name, int(name in found)) for name in CLASSES)

    @staticmethod
    def _age(word: str) -> int | None:
        """Years, written 058Y in the table's first edition and 58 in later ones; a few are above 400, by mistake.

        The first edition counts infants' ages in months (009M) and days (013D).
        """
        if word[-1:] in ("M", "D") and word[:-1].isdecimal():
            return int(word[:-1]) // (12 if word[-1] == "M" else 365)
        digits = word.removesuffix("Y")
        return int(digits) if digits.isdecimal() and int(digits) < 120 else None

    def _boxes(self) -> dict[str, list[Box]]:
        boxes: dict[str, list[Box]] = {}
        rows = read_rows(self.source, BOXES, ("Image Index", "Finding Label", *BOX_AXES))
        for number, row in enumerate(rows, start=1):
            place = f"{self.source.root}: the table {BOXES}, row {number} below the header,"
            name = BOX_NAMES.get(row["Finding Label"], row["Finding Label"])
            if name not in CLASSES:
                raise ValueError(f"{place} holds a finding that is none of {', '.join(CLASSES)}")
            boxes.setdefault(row["Image Index"], []).append(box_of(name, [row[axis] for axis in BOX_AXES], place))
        return boxes
