"""Published checkpoints come in whole or are refused in a sentence, and go out as they came."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import BertConfig, BertModel, BertTokenizer

from components.core.model import MedSLIP, load
from components.core.model.__main__ import main
from components.core.model.published import from_published, read_published, to_published, write_published
from components.core.model.terms import served_pathologies
from components.core.vocabulary import ANATOMIES, PATHOLOGIES
from tests import small_model
from tests.core.model.oracle import Published
from tests.core.model.test_fidelity import books, published, sizes_of


def state() -> dict[str, Tensor]:
    return dict(published().float().state_dict())


def model_of(weights: dict[str, Tensor], **arguments: Any) -> MedSLIP:
    t_p, t_a = books()
    return from_published(weights, t_p.float(), t_a.float(), sizes=sizes_of("bottleneck"), **arguments)


def parallel(weights: dict[str, Tensor]) -> Any:
    return {"model": {f"module.{name}": tensor for name, tensor in weights.items()}, "epoch": 99}


def older_name(weights: dict[str, Tensor]) -> Any:
    return {"model": {name.replace("pathology_emb", "disease_emb"): tensor for name, tensor in weights.items()}}


@pytest.mark.parametrize("form", [dict, parallel, older_name], ids=["bare", "in parallel", "older name"])
def test_every_form_of_the_file_is_read_and_goes_out_exactly(form: Callable[[Any], Any], tmp_path: Path) -> None:
    torch.save(form(state()), tmp_path / "checkpoint.pth")
    model = model_of(read_published(tmp_path / "checkpoint.pth"))
    write_published(model, tmp_path / "again.pth")
    again = torch.load(tmp_path / "again.pth", weights_only=True)["model"]
    assert again.keys() == state().keys()
    assert all(torch.equal(again[name], tensor) for name, tensor in state().items())


def lacks(weights: dict[str, Tensor]) -> None:
    del weights["res_features.4.0.bn1.weight"]
    del weights["mask_generator.bias"]


def has_more(weights: dict[str, Tensor]) -> None:
    weights["decoder_anatomy.layers.2.norm1.weight"] = torch.zeros(16)


def other_width(weights: dict[str, Tensor]) -> None:
    weights["pathology_embedding_layer.weight"] = torch.zeros(16, 99)


def norms_differ(weights: dict[str, Tensor]) -> None:
    weights["decoder_anatomy.norm.bias"] = weights["decoder_anatomy.norm.bias"] + 1


def not_a_number(weights: dict[str, Tensor]) -> None:
    weights["classifier_anatomy.bias"][0] = torch.nan


def too_large(weights: dict[str, Tensor]) -> None:
    weights["classifier_anatomy.bias"] = weights["classifier_anatomy.bias"].double() + 1e300


def whole_numbers(weights: dict[str, Tensor]) -> None:
    weights["classifier_anatomy.bias"] = weights["classifier_anatomy.bias"].long()


def sparse(weights: dict[str, Tensor]) -> None:
    weights["mask_generator.weight"] = weights["mask_generator.weight"].to_sparse()


def without_values(weights: dict[str, Tensor]) -> None:
    weights["mask_generator.weight"] = weights["mask_generator.weight"].to("meta")


def of_two_parts(weights: dict[str, Tensor]) -> None:
    name = "res_features.1.num_batches_tracked"
    weights[name] = weights[name].to(torch.complex64)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (
            whole_numbers,
            r"classifier_anatomy\.bias is torch\.strided torch\.int64 on cpu: dense floats are allowed, and",
        ),
        (sparse, r"mask_generator\.weight is torch\.sparse_coo torch\.float32 on cpu: dense floats"),
        (without_values, r"mask_generator\.weight is torch\.strided torch\.float32 on meta: dense floats"),
        (of_two_parts, r"num_batches_tracked is torch\.strided torch\.complex64 on cpu: .* numbers for num_batches_tr"),
        (lacks, r"lacks mask_generator\.bias, res_features\.4\.0\.bn1\.weight: it is of another model or trunk"),
        (has_more, r"has decoder_anatomy\.layers\.2\.norm1\.weight without a place"),
        (other_width, r"pathology_embedding_layer\.weight has shape \[16, 99\] where \[16, 12\] is expected"),
        (norms_differ, r"decoder_anatomy\.norm\.bias and decoder_pathology\.norm\.bias differ"),
        (not_a_number, r"classifier_anatomy\.bias holds values that are not finite"),
        (too_large, r"classifier_anatomy\.bias holds values that are not finite"),
    ],
)
def test_what_does_not_fit_is_named(damage: Callable[[dict[str, Tensor]], None], sentence: str) -> None:
    weights = state()
    damage(weights)
    with pytest.raises(ValueError, match=sentence):
        model_of(weights)


def test_a_tensor_without_a_place_can_be_left_out_by_name_only() -> None:
    weights = state()
    has_more(weights)
    model_of(weights, left_out=["decoder_anatomy.layers.2.norm1.weight"])
    with pytest.raises(ValueError, match=r"has no mask_generator\.bias that could be left out"):
        model_of(weights, left_out=["mask_generator.bias"])


def test_a_model_with_mends_is_not_exported() -> None:
    with pytest.raises(ValueError, match=r"cannot express this model's mends: .*bounded_mask.*temperature"):
        to_published(small_model.model(small_model.EVERY_MEND))


class Malice:
    def __reduce__(self) -> Any:
        return (Path.touch, (Path("executed"),))


def twice(path: Path) -> None:
    torch.save({**state(), "module.mask_generator.bias": torch.zeros(16)}, path)


@pytest.mark.parametrize(
    ("write", "sentence"),
    [
        (lambda path: torch.save(Malice(), path), "code is never run"),
        (lambda path: path.write_bytes(_bytes(state())[:-5000]), "is corrupt or cut short"),
        (lambda path: path.write_bytes(_flipped(_bytes(state()))), "is corrupt: the checksum of .*/data/"),
        (lambda path: path.write_bytes(b""), "is corrupt or cut short"),
        (lambda path: path.write_bytes(b"\xff" * 300), "is no torch checkpoint|is corrupt or cut short"),
        (lambda path: torch.save([1, 2], path), "holds no state_dict"),
        (lambda path: torch.save({"model": {"a": 1}}, path), "holds no state_dict: a is int, not a tensor"),
        (lambda path: None, "is not a file"),
        (twice, r"holds mask_generator\.bias twice"),
    ],
    ids=["code", "cut short", "a bit flipped", "empty", "noise", "list", "numbers", "missing", "twice"],
)
def test_a_file_that_is_no_checkpoint_is_refused(
    write: Callable[[Path], object], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "checkpoint.pth")
    with pytest.raises(ValueError, match=sentence) as refusal:
        read_published(tmp_path / "checkpoint.pth")
    assert "\n" not in str(refusal.value)
    assert not Path("executed").exists()


def _bytes(content: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def _flipped(content: bytes) -> bytes:
    """With one bit of a tensor flipped."""
    place = content.index(state()["mask_generator.weight"].numpy().tobytes()) + 5
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def write_encoder(folder: Path) -> None:
    """A BERT of T = 768 laid out as Bio_ClinicalBERT is: no safetensors, no tokenizer.json."""
    folder.mkdir()
    letters = "abcdefghijklmnopqrstuvwxyz0123456789.,()-_'"
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    (folder / "vocab.txt").write_text("\n".join(pieces), encoding="utf-8")
    torch.manual_seed(0)
    config = BertConfig(vocab_size=len(pieces), hidden_size=768, num_hidden_layers=1, num_attention_heads=4,
                        intermediate_size=32, initializer_range=0.2)  # fmt: skip
    config.save_pretrained(folder)
    weights = {f"bert.{name}": tensor for name, tensor in BertModel(config).state_dict().items()}
    torch.save({**weights, "cls.predictions.bias": torch.zeros(len(pieces))}, folder / "pytorch_model.bin")


@pytest.mark.slow
def test_the_command_line_imports_what_predicts_the_same_and_exports_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """At the published sizes, with a text encoder and images of 64 pixels; then with another trunk's checkpoint."""
    monkeypatch.chdir(tmp_path)
    write_encoder(tmp_path / "bert")
    torch.manual_seed(1)
    oracle = Published(torch.zeros(len(PATHOLOGIES), 768), torch.zeros(len(ANATOMIES), 768)).eval()
    for tensor in oracle.parameters():
        if tensor.ndim > 1:
            tensor.data.mul_(1.5)
    torch.save(parallel(dict(oracle.state_dict())), tmp_path / "published.pth")

    def command(*arguments: str) -> tuple[object, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        return ended.value.code, *capsys.readouterr()

    status, said, _ = command("import-published", "published.pth", "--text-encoder", "bert", "--out", "model")
    assert status == 0
    assert said.startswith("426 tensors of published.pth are in model\n")
    assert served_pathologies(tmp_path / "model") == PATHOLOGIES
    model = load(tmp_path / "model")
    oracle.t_p, oracle.t_a = model.book_p_PT, model.book_a_AT
    tokens = BertTokenizer.from_pretrained(str(tmp_path / "bert"))("It is located at trachea.", return_tensors="pt")
    with torch.no_grad():
        state_T = BertModel.from_pretrained(str(tmp_path / "bert")).eval()(**tokens).last_hidden_state[0, 0]
        torch.testing.assert_close(model.book_a_AT[0], state_T, rtol=1e-4, atol=1e-4)
        mine, expected = model(small_model.images(2), attention=True), oracle(small_model.images(2))
    torch.testing.assert_close(mine.presence_BP, expected["presence"], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(mine.place_BAP, expected["place"], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(mine.attention_p_BLPN, expected["maps_p"], rtol=1e-4, atol=1e-5)

    assert command("export", "model", "again.pth")[0] == 0
    again = torch.load(tmp_path / "again.pth", weights_only=True)["model"]
    assert all(torch.equal(again[name], tensor) for name, tensor in oracle.state_dict().items())

    torch.save(state(), tmp_path / "small.pth")
    status, _, error = command("import-published", "small.pth", "--text-encoder", "bert", "--out", "other")
    assert status == 2
    assert error.startswith("error: the checkpoint lacks ")
    assert error.count("\n") == 1
    assert not (tmp_path / "other").exists()
