"""The label tensor of a dataset's studies: sparse on disk, dense [B, A, P] in use."""

import io
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.core.records.whole import whole_file
from components.core.vocabulary import ANATOMIES, PATHOLOGIES

NOT_MENTIONED, ABSENT, PRESENT, UNCERTAIN = -1, 0, 1, 2
VERSION = 1


@dataclass(frozen=True)
class StudyLabels:
    """What the reports say of every study: a value for each (anatomy, pathology) that is mentioned.

    Attributes:
        study_ids: the studies, in order; a study without any finding is listed too.
        cells: int32 [M, 3], each (study, anatomy, pathology) as indices.
        values: int8 [M]: 0 absent, 1 present, 2 uncertain. Every other cell is -1, not mentioned.
    """

    study_ids: tuple[str, ...]
    cells: npt.NDArray[np.int32]
    values: npt.NDArray[np.int8]

    def write(self, path: Path) -> None:
        """Write as .npz, whole; equal labels give equal bytes, whichever Python writes them."""
        arrays = {
            "version": np.array(VERSION, np.int64),
            "shape": np.array([len(ANATOMIES), len(PATHOLOGIES)], np.int64),
            "study_ids": np.array(self.study_ids, dtype=np.str_),
            "cells": self.cells.astype(np.int32),
            "values": self.values.astype(np.int8),
        }
        # np.savez forces ZIP64 on its members, whose heads differ between releases of Python.
        with whole_file(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
            for name, array in arrays.items():
                content = io.BytesIO()
                np.lib.format.write_array(content, array, allow_pickle=False)
                archive.writestr(zipfile.ZipInfo(f"{name}.npy"), content.getvalue())

    @classmethod
    def read(cls, path: Path) -> "StudyLabels":
        """Read what `write` wrote.

        Raises:
            ValueError: the file is missing or corrupt, or was made with another vocabulary or version.
        """
        if not path.is_file():
            raise ValueError(f"{path} does not exist: run reports first")
        try:
            with np.load(path, allow_pickle=False) as arrays:
                if int(arrays["version"]) == VERSION and arrays["shape"].tolist() == [len(ANATOMIES), len(PATHOLOGIES)]:
                    study_ids, cells, values = (arrays[name] for name in ("study_ids", "cells", "values"))
                    labels = cls(tuple(study_ids.tolist()), cells, values)
                else:
                    labels = None
        except (EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile):
            raise ValueError(f"{path} is corrupt or cut short: run reports again") from None
        if labels is None:
            raise ValueError(f"{path} was written with another vocabulary or schema version: run reports again")
        fault = labels._fault()
        if fault:
            raise ValueError(f"{path} {fault}: run reports again")
        return labels

    def _fault(self) -> str | None:
        """Which array has not the form that `write` gives it; None where all have."""
        if not all(isinstance(name, str) for name in self.study_ids):
            return "has study ids that are no texts"
        for name, array in (("cells", self.cells), ("values", self.values)):
            if array.dtype.kind not in "iu":
                return f"has {name} of type {array.dtype}, where whole numbers are expected"
        if self.values.ndim != 1 or self.cells.shape != (len(self.values), 3):
            return f"has values {self.values.shape} for cells {self.cells.shape}"
        return None

    def refuse_repeats(self) -> None:
        """Refuse labels that say two things of one place; `read` does not, so that the quality gate can name them.

        Raises:
            ValueError: a study or a cell is listed twice.
        """
        if len(set(self.study_ids)) < len(self.study_ids):
            study = Counter(self.study_ids).most_common(1)[0][0]
            raise ValueError(f"the label tensor lists the study {study} twice: run reports again")
        ordered = self.cells[np.lexsort(self.cells.T)]
        again = (ordered[1:] == ordered[:-1]).all(1)
        if again.any():
            cell = ordered[1:][again][0].tolist()
            raise ValueError(
                f"the label tensor lists the cell {cell} (study, anatomy, pathology) twice: run reports again"
            )

    def dense(self, study_ids: Sequence[str]) -> npt.NDArray[np.int8]:
        """The tensor M, int8 [B, A, P], of the given studies, in their order.

        Raises:
            ValueError: a study is not among the labels, or a study or a cell is listed twice.
        """
        self.refuse_repeats()
        position = {name: index for index, name in enumerate(self.study_ids)}
        missing = [name for name in study_ids if name not in position]
        if missing:
            raise ValueError(f"{len(missing)} studies have no labels, the first is {missing[0]}")
        labels_BAP = np.full((len(study_ids), len(ANATOMIES), len(PATHOLOGIES)), NOT_MENTIONED, np.int8)
        places: dict[int, list[int]] = {}
        for place, name in enumerate(study_ids):
            places.setdefault(position[name], []).append(place)
        for (study, anatomy, pathology), value in zip(self.cells, self.values, strict=True):
            for place in places.get(int(study), ()):
                labels_BAP[place, anatomy, pathology] = value
        return labels_BAP
