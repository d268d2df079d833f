"""The label tensor of a dataset's studies: sparse on disk, dense [B, A, P] in use."""

import io
import zipfile
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
                    labels = cls(tuple(arrays["study_ids"].tolist()), arrays["cells"], arrays["values"])
                else:
                    labels = None
        except (EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile):
            raise ValueError(f"{path} is corrupt or cut short: run reports again") from None
        if labels is None:
            raise ValueError(f"{path} was written with another vocabulary or schema version: run reports again")
        if labels.cells.shape != (*labels.values.shape, 3):
            raise ValueError(
                f"{path} has values {labels.values.shape} for cells {labels.cells.shape}: run reports again"
            )
        return labels

    def dense(self, study_ids: Sequence[str]) -> npt.NDArray[np.int8]:
        """The tensor M, int8 [B, A, P], of the given studies, in their order.

        Raises:
            ValueError: a study is not among the labels.
        """
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
