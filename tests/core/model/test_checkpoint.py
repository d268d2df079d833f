"""A model on disk: whole, the same bytes, and refused in a sentence when it does not fit."""

import errno
import json
import resource
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from components.core.model import MedSLIP, load, save
from components.core.records.digests import file_digest
from components.core.vocabulary import ANATOMIES, PATHOLOGIES
from tests import small_model


def trained(seed: int = 0) -> MedSLIP:
    torch.manual_seed(seed)
    books = torch.randn(len(PATHOLOGIES), small_model.TEXT_WIDTH), torch.randn(len(ANATOMIES), small_model.TEXT_WIDTH)
    return MedSLIP(small_model.config(small_model.EVERY_MEND), *books).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save(trained(), tmp_path)
    return tmp_path


def test_what_is_read_answers_as_what_was_written(folder: Path) -> None:
    images = small_model.images(2)
    model = load(folder)
    assert not model.training
    torch.testing.assert_close(model(images).presence_BP, trained().eval()(images).presence_BP, rtol=0, atol=0)
    assert model.config == trained().config


def test_equal_models_give_equal_bytes(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    again = tmp_path_factory.mktemp("again")
    save(trained(), again)
    files = sorted(path.name for path in folder.iterdir())
    assert files == ["config.json", "vocabulary.json", "weights.safetensors"]
    assert all((folder / name).read_bytes() == (again / name).read_bytes() for name in files)


def change_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def rewrite(folder: Path, weights: dict[str, torch.Tensor]) -> None:
    """Other weights, and a configuration that says so."""
    save_file(weights, folder / "weights.safetensors")
    change_config(folder, weights_sha256=file_digest(folder / "weights.safetensors"))


def flipped_bit(folder: Path) -> None:
    path = folder / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-7] ^= 1
    path.write_bytes(content)


def cut_short(folder: Path) -> None:
    path = folder / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def garbage(folder: Path) -> None:
    (folder / "weights.safetensors").write_bytes(b"\xff" * 300)


def without_weights(folder: Path) -> None:
    (folder / "weights.safetensors").unlink()


def other_vocabulary(folder: Path) -> None:
    path = folder / "vocabulary.json"
    path.write_text(path.read_text().replace('"effusion"', '"infusion"'))


def other_width(folder: Path) -> None:
    content = json.loads((folder / "config.json").read_text())
    content["model"]["width"] = 32
    (folder / "config.json").write_text(json.dumps(content))


def heads_that_do_not_divide_the_width(folder: Path) -> None:
    content = json.loads((folder / "config.json").read_text())
    change_config(folder, model={**content["model"], "heads": 3})


def unknown_key(folder: Path) -> None:
    content = json.loads((folder / "config.json").read_text())
    content["model"]["depth"] = 3
    (folder / "config.json").write_text(json.dumps(content))


def other_version(folder: Path) -> None:
    change_config(folder, version=1)


def lacks_a_tensor(folder: Path) -> None:
    weights = load_file(folder / "weights.safetensors")
    del weights["norm.bias"]
    rewrite(folder, weights)


def not_a_number(folder: Path) -> None:
    weights = load_file(folder / "weights.safetensors")
    weights["norm.bias"][3] = torch.nan
    rewrite(folder, weights)


def lacks_a_book(folder: Path) -> None:
    weights = load_file(folder / "weights.safetensors")
    del weights["book_p_PT"]
    rewrite(folder, weights)


def has_a_tensor_more(folder: Path) -> None:
    weights = load_file(folder / "weights.safetensors")
    rewrite(folder, {**weights, "extra": torch.zeros(1)})


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (cut_short, "weights.safetensors is corrupt or cut short"),
        (flipped_bit, r"weights\.safetensors is not what was written: its SHA-256 is not that of config\.json"),
        (garbage, "weights.safetensors is corrupt or cut short"),
        (without_weights, "is no model: weights.safetensors does not exist"),
        (not_a_number, "norm.bias holds values that are not finite"),
        (other_vocabulary, "is not this code's vocabulary"),
        (other_width, "has shape .* config.json says"),
        (heads_that_do_not_divide_the_width, r"config\.json: model: width must be a multiple of heads"),
        (unknown_key, "config.json: model.depth"),
        (other_version, "another version of the model"),
        (lacks_a_tensor, "lacks 1 tensors, the first is norm.bias"),
        (lacks_a_book, "book_p_PT has shape"),
        (has_a_tensor_more, "has unknown 1 tensors, the first is extra"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(folder: Path, damage: object, sentence: str) -> None:
    assert callable(damage)
    damage(folder)
    with pytest.raises(ValueError, match=sentence) as refusal:
        load(folder)
    assert "\n" not in str(refusal.value)


def test_a_missing_folder_names_the_stage_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not exist: run the stage that makes it first"):
        load(tmp_path / "nothing")


def test_a_folder_that_is_no_model_is_called_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"is no model: config\.json, vocabulary\.json, weights\.safetensors"):
        load(tmp_path)
    (tmp_path / "weights.safetensors").touch()
    with pytest.raises(ValueError, match=r"safetensors is no model, which is a folder with config\.json, "):
        load(tmp_path / "weights.safetensors")


def test_whoever_may_read_the_folder_may_read_its_weights(tmp_path: Path) -> None:
    save(trained(), tmp_path)
    assert len({path.stat().st_mode for path in tmp_path.iterdir()}) == 1


def test_a_full_disk_is_told_from_a_defect(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (600, hard))
    try:
        with pytest.raises(OSError, match=r"File too large: .*weights\.safetensors") as refusal:
            save(trained(), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert refusal.value.errno == errno.EFBIG
