"""params.yaml: what is refused and in which words, and that no key is dead."""

import ast
import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from components.core.params import Params, Section, load, overlay, read_yaml, validate

PUBLIC_KEYS = Path(__file__).with_name("public_keys.txt")


@pytest.fixture
def content(repository: Path) -> Any:
    return read_yaml(repository / "params.yaml")


def changed(content: Any, path: str, value: Any) -> Any:
    """The content with another value at a path such as `register.gates.0.file`."""
    result = node = copy.deepcopy(content)
    *parents, last = (int(part) if part.isdigit() else part for part in path.split("."))
    for part in parents:
        node = node[part]
    node[last] = value
    return result


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("pretrain.epochs", 0, "0 is not allowed; it must be a whole number at least 1 and at most 10,000"),
        ("pretrain.epochs", True, "true is not allowed; it must be a whole number at least 1 and at most 10,000"),
        ("pretrain.epochs", 3.5, "3.5 is not allowed; it must be a whole number at least 1 and at most 10,000"),
        ("pretrain.epochs", "3", '"3" is not allowed; it must be a whole number at least 1 and at most 10,000'),
        ("pretrain.model.dropout", 1.0, "1.0 is not allowed; it must be a number at least 0 and below 1"),
        ("pretrain.image_size", 100, "100 is not allowed; it must be a whole number at least 32 and at most 2,048, a "
         "multiple of 16"),
        ("pretrain.learning_rate", "1e-3", '"1e-3" is not allowed; it must be a number above 0 and at most 1; YAML '
         "reads it as a text, write 0.001"),
        ("pretrain.learning_rate", float("nan"), "NaN is not allowed; it must be a number above 0 and at most 1"),
        ("pretrain.precision", "half", '"half" is not allowed; it must be one of auto, 32-true, bf16-mixed, 16-mixed'),
        ("pretrain.model.trunk.depths.1", "x", '"x" is not allowed; it must be a whole number at least 1 and at most '
         "200"),
        ("datasets.mimic_cxr.layout", "nih", '"nih" is not allowed; it must be one of mimic_cxr, rsna_pneumonia'),
        ("datasets.mimic_cxr.root", "", '"" is not allowed; it must be a non-empty text'),
        ("knowledge.text_encoder", 3, "3 is not allowed; it must be a non-empty text or null"),
        ("register.fail_on_gate", "no", '"no" is not allowed; it must be true or false'),
        ("finetune.tasks", {}, "{} is not allowed; it must be a mapping"),
        ("register.gates.0.file", "../x", '"../x" is not allowed; it must be a text matching'),
        ("pretrain", None, "null is not allowed; it must be a mapping with the keys dataset, init"),
        ("pretrain.epohcs", 3, "unknown key; the keys are dataset, init, train"),
        ("phantom.studies.nih", 10, "unknown key; a key must be one of mimic_cxr, rsna_pneumonia"),
        ("pretrain.dataset", "nih",
         "'nih' is not one of the datasets (mimic_cxr, rsna_pneumonia, nih_cxr14, siim_acr, covidx_cxr4)"),
        ("pretrain.dataset", "rsna_pneumonia",
         "'rsna_pneumonia' has no reports; the layout must be one of mimic_cxr, folder"),
        ("pretrain.objective.form", "clip", '"clip" is not allowed; it must be one of medslip, one_stream, '
         "global_contrast, supervised"),
        ("pretrain.objective.mends.temperature", 0, "0 is not allowed; it must be a number above 0 and at most 10 or "
         "null"),
        ("pretrain.objective.mends.sigmoid", True, "unknown key; the keys are swapped_sides, bounded_mask"),
        ("datasets.forget", {"layout": "folder", "root": "x"}, "that is the name of a command, not of a dataset"),
    ],
)  # fmt: skip
def test_a_refusal_says_where_what_and_what_is_allowed(content: Any, path: str, value: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=r"params\.yaml") as refusal:
        validate(changed(content, path, value))
    assert str(refusal.value).startswith(f"params.yaml: {path}: {sentence}")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("value", [None, [], 3, "text"])
def test_what_is_no_mapping_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"^params.yaml: .+; it must be a mapping with the keys datasets"):
        validate(value)


def test_the_published_form_knows_no_soft_labels(content: Any) -> None:
    soft = changed(content, "pretrain.uncertain", "soft")
    assert validate(soft).pretrain.uncertain == "soft"
    with pytest.raises(ValueError, match=r"pretrain: uncertain may be soft only where objective\.fidelity is improved"):
        validate(changed(soft, "pretrain.objective.fidelity", "paper"))


def test_the_learning_rate_comes_down(content: Any) -> None:
    with pytest.raises(ValueError, match=r"pretrain: final_learning_rate must be at most learning_rate$"):
        validate(changed(content, "pretrain.final_learning_rate", content["pretrain"]["learning_rate"] * 2))


def test_a_share_is_named_once(content: Any) -> None:
    with pytest.raises(ValueError, match=r"finetune: shares must not name one share twice$"):
        validate(changed(content, "finetune.shares", [0.01, 0.010000001]))


def test_a_disease_is_named_as_its_dataset_has_it(content: Any) -> None:
    described = changed(content, "zero_shot.open_vocabulary", {"Pleural_Other": "Shadows along the pleura."})
    assert "Pleural_Other" in validate(described).zero_shot.open_vocabulary
    with pytest.raises(ValueError, match=r"open_vocabulary.*a text matching"):
        validate(changed(content, "zero_shot.open_vocabulary", {"Pleural_Other": "  "}))
    with pytest.raises(ValueError, match="open_vocabulary"):
        validate(changed(content, "zero_shot.open_vocabulary", {"no/name": "Shadows."}))


def test_heads_share_the_width(content: Any) -> None:
    with pytest.raises(ValueError, match=r"pretrain\.model: width must be a multiple of heads$"):
        validate(changed(content, "pretrain.model.heads", 3))


def test_every_fault_gets_its_line(content: Any) -> None:
    del content["pretrain"]["epochs"]
    content["zero_shot"]["batch"] = -1
    with pytest.raises(ValueError, match=r"mine\.yaml") as refusal:
        validate(content, "mine.yaml")
    assert str(refusal.value).splitlines() == [
        "mine.yaml: pretrain.epochs: is missing; it must be a whole number at least 1 and at most 10,000",
        "mine.yaml: zero_shot.batch: -1 is not allowed; it must be a whole number at least 1 and at most 65,536",
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("pretrain: [", "is not YAML"),
        ("a: 1\na: 2\n", "the key a stands twice"),
        ("a: {b: 1, b: 1}\n", "the key b stands twice"),
        (b"\xff\xfe", "is not YAML"),
        ("", "null is not allowed; it must be a mapping"),
        ("a: 2020-01-01\n", "params.yaml: a: 2020-01-01 is not allowed; only numbers, texts, lists and mappings are"),
        ("a: &a [*a]\n", "is nested without an end"),
        ("a: " + "[" * 3000 + "]" * 3000, "nested"),
        ("a: " + "1" * 5000, "is not YAML: Exceeds the limit"),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, text: str | bytes, sentence: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=sentence) as refusal:
        load(path)
    assert str(path) in str(refusal.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"params\.yaml does not exist"):
        load(tmp_path / "params.yaml")


def test_overlay_merges_mappings_and_replaces_the_rest() -> None:
    base = {"a": {"b": 1, "c": [1, 2]}, "d": 3}
    assert overlay(base, {"a": {"c": [3]}, "e": None}) == {"a": {"b": 1, "c": [3]}, "d": 3, "e": None}
    assert overlay(base, {"a": 1}) == {"a": 1, "d": 3}
    assert overlay(base, {"a": None, "d": None}) == {"d": None}
    assert base == {"a": {"b": 1, "c": [1, 2]}, "d": 3}


def sections() -> list[type[Section]]:
    """The models that the schema is made of."""
    direct = Section.__subclasses__()
    below = [model for section in direct for model in section.__subclasses__()]
    return [model for model in (*direct, *below) if model.__module__ == Section.__module__]


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """The paths of all keys of a schema."""
    schema = model.model_json_schema(by_alias=True)

    def walk(node: Any, path: str) -> Iterator[str]:
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rsplit("/", 1)[1]]
        for name, child in node.get("properties", {}).items():
            yield from walk(child, f"{path}.{name}" if path else name)
        inner = [*node.get("patternProperties", {}).values(), node.get("additionalProperties")]
        for child in inner:
            if isinstance(child, dict):
                yield from walk(child, f"{path}.*")
        if isinstance(node.get("items"), dict) and "$ref" in node["items"]:
            yield from walk(node["items"], f"{path}.*")
        if "properties" not in node and not any(isinstance(child, dict) for child in inner):
            yield path

    yield from walk(schema, prefix)


def test_public_keys_are_frozen() -> None:
    """Users' files name these keys: rename or remove one only on purpose, and then change the list beside this test."""
    frozen = PUBLIC_KEYS.read_text(encoding="utf-8").split()
    assert sorted(set(keys(Params))) == frozen


def test_every_key_has_a_description() -> None:
    described = [
        (f"{model.__name__}.{name}", field.description)
        for model in sections()
        for name, field in model.model_fields.items()
        if field.annotation not in sections()  # a section within a section: its class says what it is
    ]
    assert len(described) > 60
    assert [name for name, description in described if not description] == []


def test_every_key_is_read_by_some_code(repository: Path) -> None:
    read = {
        node.attr
        for folder in ("components", "pipelines")
        for file in (repository / folder).rglob("*.py")
        if file.name not in ("params.py", "explain.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
    }
    declared = {name for model in sections() for name in model.model_fields}
    assert declared - read == set()


def test_the_committed_parameters_are_valid_and_plain(repository: Path, content: Any) -> None:
    params = load(repository / "params.yaml")
    assert json.loads(params.model_dump_json(by_alias=True)) == content
