"""The stage as a whole: a BERT trained on forty reports, its books, and the same through a given encoder."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel, AutoTokenizer

from components.core import paths
from components.core.text.books import Books
from components.core.text.encoder import load_encoder
from components.core.vocabulary import ANATOMIES, DEFINITIONS, PATHOLOGIES
from components.knowledge.books import books_figures
from components.knowledge.stage import run
from tests.knowledge.conftest import small_params


def in_folder(folder: Path, repository: Path, archive: Path, **knowledge: object) -> dict:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return run(small_params(repository, archive, **knowledge), "")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


@pytest.fixture(scope="module")
def figures(workspace: Path, repository: Path) -> dict:
    return in_folder(workspace, repository, workspace / "archive")


@pytest.fixture(scope="module")
def knowledge(workspace: Path, figures: dict) -> Path:
    return workspace / paths.KNOWLEDGE


def test_books_have_an_entry_a_term(knowledge):
    books = load_file(knowledge / "books.safetensors")
    assert books["pathologies"].shape == (75, 64)
    assert books["anatomies"].shape == (51, 64)
    assert {book.dtype for book in books.values()} == {torch.float32}
    content = json.loads((knowledge / "book.json").read_text("utf-8"))
    assert [term["name"] for term in content["pathologies"]] == list(PATHOLOGIES)
    assert [term["name"] for term in content["anatomies"]] == list(ANATOMIES)


def test_training_tells_terms_apart(figures):
    assert figures["pathologies"]["mean_pairwise_cosine"] < 0.9
    assert figures["anatomies"]["mean_pairwise_cosine"] < 0.5
    assert figures["anatomies"]["mean_left_right_cosine"] < 0.95
    assert figures["masked_token_loss"]["after"] < figures["masked_token_loss"]["before"] - 1
    assert figures["patients"] == 30


def test_saved_encoder_loads_offline_and_gives_the_books(knowledge):
    folder = knowledge / "text_encoder"
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModel.from_pretrained(folder, local_files_only=True).eval()
    tokens = tokenizer(DEFINITIONS["effusion"], return_tensors="pt")
    with torch.inference_mode():
        state_T = model(**tokens).last_hidden_state[0, 0]
    books = load_file(knowledge / "books.safetensors")
    torch.testing.assert_close(state_T, books["pathologies"][PATHOLOGIES.index("effusion")], atol=1e-4, rtol=1e-4)
    with torch.inference_mode():
        state_T = model(**tokenizer("It is located at left_hilar.", return_tensors="pt")).last_hidden_state[0, 0]
    torch.testing.assert_close(state_T, books["anatomies"][ANATOMIES.index("left_hilar")], atol=1e-4, rtol=1e-4)


def test_equal_input_gives_equal_bytes(knowledge, figures, workspace, repository, tmp_path):
    shutil.copytree(workspace / paths.INVENTORY, tmp_path / paths.INVENTORY)
    assert in_folder(tmp_path, repository, workspace / "archive") == figures
    assert contents(tmp_path / paths.KNOWLEDGE) == contents(knowledge)


def test_given_encoder_needs_no_archive_and_leaves_no_path(knowledge, figures, repository, tmp_path):
    given = str(knowledge / "text_encoder")
    again = in_folder(tmp_path, repository, tmp_path / "nowhere", text_encoder=given)
    assert again["pathologies"]["mean_pairwise_cosine"] == pytest.approx(
        figures["pathologies"]["mean_pairwise_cosine"], abs=1e-5
    )
    assert "masked_token_loss" not in again
    for name, content in contents(tmp_path / paths.KNOWLEDGE).items():
        assert str(knowledge).encode() not in content, name
    assert json.loads((tmp_path / paths.KNOWLEDGE / "book.json").read_text("utf-8"))["encoder"]["source"] == "given"


def test_folder_without_encoder_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"the text encoder .*: the folder holds no encoder"):
        load_encoder(str(tmp_path))


def test_name_that_is_nowhere_is_refused(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match=r"the text encoder no/such-bert: no such folder"):
        load_encoder("no/such-bert")


def test_encoder_with_other_layers_than_weights_is_refused(knowledge, tmp_path):
    folder = tmp_path / "text_encoder"
    shutil.copytree(knowledge / "text_encoder", folder)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 2}), encoding="utf-8")
    with pytest.raises(ValueError, match=r"lacks 16 weights, the first is encoder\.layer\.1\."):
        load_encoder(str(folder))


def test_figures_by_hand():
    pathologies = torch.eye(75)
    pathologies[1] = torch.tensor([3.0, 4.0] + [0.0] * 73)  # cosine 0.6 with the first entry, 0 with all others
    found = books_figures(Books(pathologies, torch.ones(51, 8)))
    assert found["pathologies"]["mean_pairwise_cosine"] == pytest.approx(0.6 / (75 * 74 / 2))
    assert found["pathologies"]["nearest"][0] == {"pair": ["normal", "clear"], "cosine": pytest.approx(0.6)}
    assert found["anatomies"]["mean_left_right_cosine"] == pytest.approx(1.0)
