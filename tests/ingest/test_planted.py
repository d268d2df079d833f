"""Names, ids and dates planted in every element of an object that can hold text reach no byte of any output."""

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.datadict import DicomDictionary
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import ImplicitVRLittleEndian, JPEG2000Lossless

from tests.archive_files import write
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
    """An object with a mark in every text, date and uid element of the standard, on two levels and in private ones."""
    dataset = pydicom.dcmread(io.BytesIO(radiograph(chest(seed=seed), syntax=syntax)))
    fill(dataset, seed)
    item = Dataset()
    fill(item, seed)
    dataset.RequestAttributesSequence = [item]
    block = dataset.private_block(0x11, "PlantedCreator", create=True)
    block.add_new(1, "LO", "PlantedPrivate")
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


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
    for seed, syntax in enumerate((ImplicitVRLittleEndian, JPEG2000Lossless)):
        write(tmp_path, f"Planted_folder/Planted{seed}.dcm", planted(seed, syntax))
    whole = planted(5, JPEG2000Lossless)
    write(tmp_path, "Planted_folder/cut.dcm", whole[: len(whole) - 900])
    write(tmp_path, "Planted_folder/noise.dcm", b"Planted^Noise")
    write(tmp_path, "Planted_folder/other.dcm", radiograph(chest(), Modality="MR"))
    size = "64" if command == "works" else "1"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "components.ingest",
            "folder",
            str(tmp_path / "Planted_folder"),
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
        assert b"2 images, 3 rejected" in said
        assert np.load(tmp_path / "out/shard-00000.npy").shape == (2, 64, 64)
    outputs = [path for top in ("out", "state") for path in (tmp_path / top).rglob("*") if path.is_file()]
    for name in ("Planted", DATE, UID, NUMBER, "081309"):
        assert name.encode() not in said.replace(b"Planted_folder", b"")
        for path in outputs:
            assert name.encode() not in _as_text(path), (name, path)


def _as_text(path: Path) -> bytes:
    """The bytes of a file, and of a table also the words in it, which are compressed there."""
    if path.suffix != ".parquet":
        return path.read_bytes()
    import pandas as pd

    return path.read_bytes() + pd.read_parquet(path).to_csv().encode()
