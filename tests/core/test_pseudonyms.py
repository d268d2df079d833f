"""Pseudonyms and splits: stable under one key, others under another key, which only its owner can read."""

import stat
from pathlib import Path

import pytest

from components.core.pseudonyms import KEY_FILE_VARIABLE, Pseudonyms, key_file, make_key

KEY = Pseudonyms(b"0123456789abcdef")


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(KEY_FILE_VARIABLE, str(tmp_path / "folder/key"))
    return tmp_path / "folder/key"


def test_the_key_is_made_once_for_its_owner_only(path: Path) -> None:
    assert make_key() == path
    content = path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert make_key() == path
    assert path.read_bytes() == content
    assert len(bytes.fromhex(content.decode().strip())) == 32


def test_two_projects_get_two_keys(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_key()
    first = Pseudonyms.from_key_file()
    monkeypatch.setenv(KEY_FILE_VARIABLE, str(tmp_path / "other"))
    make_key()
    second = Pseudonyms.from_key_file()
    assert first.fingerprint != second.fingerprint
    assert first.name("patient", "mimic_cxr", "10000032") != second.name("patient", "mimic_cxr", "10000032")


def test_the_default_place_is_the_users_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(KEY_FILE_VARIABLE)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert key_file() == tmp_path / "medslip/pseudonym.key"


def test_no_key_and_a_short_key_are_refused(path: Path) -> None:
    with pytest.raises(
        ValueError, match=f"no pseudonym key at {path}: make one with `make setup` or set {KEY_FILE_VARIABLE}"
    ):
        Pseudonyms.from_key_file()
    path.parent.mkdir()
    path.write_bytes(b"short\n")
    with pytest.raises(ValueError, match="too short: it needs at least 16 bytes"):
        Pseudonyms.from_key_file()


def test_names_are_stable_and_kept_apart_by_kind_and_dataset() -> None:
    # HMAC-SHA256 of "name\0patient\0mimic_cxr\010000032" under the key, by another implementation (openssl).
    assert KEY.name("patient", "mimic_cxr", "10000032") == "1c6302041ae874f225fe2946"
    names = {
        KEY.name(kind, dataset, original)
        for kind in ("patient", "study")
        for dataset in ("mimic_cxr", "rsna_pneumonia")
        for original in ("1", "2")
    }
    assert len(names) == 8
    assert all(len(name) == 24 and set(name) <= set("0123456789abcdef") for name in names)


def test_parts_cannot_be_shifted_between_one_another() -> None:
    assert KEY.name("patient", "ab", "c") != KEY.name("patient", "a", "bc")


def test_splits_have_their_shares_and_never_move() -> None:
    patients = [f"p{number}" for number in range(4000)]
    splits = [KEY.split("mimic_cxr", patient, 0.1, 0.3) for patient in patients]
    for name, share in (("test", 0.3), ("validate", 0.1), ("train", 0.6)):
        assert splits.count(name) / len(patients) == pytest.approx(share, abs=0.03)  # four standard deviations
    assert splits == [KEY.split("mimic_cxr", patient, 0.1, 0.3) for patient in patients]
    larger = [KEY.split("mimic_cxr", patient, 0.2, 0.3) for patient in patients]
    moved = {(before, after) for before, after in zip(splits, larger, strict=True) if before != after}
    assert moved == {("train", "validate")}  # a larger validation share takes from training and leaves the test alone


def test_fractions_of_other_purposes_are_independent() -> None:
    patients = [f"p{number}" for number in range(2000)]
    chosen = [p for p in patients if KEY.fraction("split", "mimic_cxr", p) < 0.3]
    both = [p for p in chosen if KEY.fraction("subset", "mimic_cxr", p) < 0.5]
    assert len(both) / len(chosen) == pytest.approx(0.5, abs=0.09)


def test_nothing_of_the_name_is_in_the_pseudonym() -> None:
    assert "10000032" not in KEY.name("patient", "mimic_cxr", "10000032")
    assert KEY.name("patient", "mimic_cxr", "10000032") != KEY.name("patient", "mimic_cxr", "10000033")
