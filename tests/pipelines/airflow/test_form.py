"""The trigger form: every parameter is a typed field with its range, and what a form changes lies over params.yaml."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from components.core.params import read_yaml, replaced, validate
from pipelines.airflow.choices import RUNNER_VARIABLE, choices
from pipelines.airflow.form import Field, changes, fields


@pytest.fixture(scope="module")
def content() -> Any:
    return read_yaml(Path(__file__).resolve().parents[3] / "params.yaml")


@pytest.fixture(scope="module")
def form(content: Any) -> dict[str, Field]:
    return {field.name: field for field in fields(content)}


def test_every_public_key_has_a_field(form: dict[str, Field], repository: Path) -> None:
    for key in (repository / "tests/core/public_keys.txt").read_text(encoding="utf-8").split():
        name = key.split(".*")[0].split("[")[0]
        assert name in form, key


def test_fields_stand_in_the_section_of_their_stage_with_help_and_default(form: dict[str, Field], content: Any) -> None:
    epochs = form["pretrain.epochs"]
    assert epochs.section == "pretrain"
    assert epochs.default == content["pretrain"]["epochs"]
    assert epochs.description == (
        "Passes over the training split. Allowed: a whole number at least 1 and at most 10,000."
    )
    assert {field.section for field in form.values()} == set(content)
    assert all(field.description for field in form.values())


def test_every_default_is_allowed_by_its_own_field(form: dict[str, Field]) -> None:
    for field in form.values():
        jsonschema.validate(field.default, field.schema)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("pretrain.epochs", 0),
        ("pretrain.epochs", 10_001),
        ("pretrain.epochs", "many"),
        ("pretrain.learning_rate", 0),
        ("pretrain.precision", "8-bit"),
        ("pretrain.image_size", 100),
        ("pretrain.model.trunk.depths", [2, 2]),
        ("pretrain.model.trunk.depths", [2, 2, 0]),
        ("ingest.percentiles", [60, 99]),
        ("finetune.tasks", {}),
        ("finetune.tasks", {"mine": {"dataset": "mimic_cxr", "kind": "detection"}}),
        ("finetune.shares", [0.1, 2]),
        ("phantom.studies", {"mimic_cxr": 1}),
        ("phantom.studies", {"unknown": 100}),
        ("phantom.pathologies", []),
        ("knowledge.text_encoder", ""),
        ("datasets", {}),
        ("datasets", {"mine": {"layout": "unknown", "root": "/x"}}),
        ("datasets", {"mine": {"layout": "mimic_cxr", "root": "/x", "more": 1}}),
        ("register.gates", [{"file": "zero_shot/mimic_cxr"}]),
        ("register.fail_on_gate", "yes"),
    ],
)
def test_what_params_refuse_the_field_refuses(form: dict[str, Field], content: Any, name: str, value: Any) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(value, form[name].schema)
    with pytest.raises(ValueError, match=name.split(".")[-1]):
        validate(replaced(content, name, value))


def test_limits_stand_where_the_browser_does_not_clamp_to_them(form: dict[str, Field]) -> None:
    for field in form.values():
        assert not {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"} & set(field.schema), field.name


def test_lists_of_numbers_get_an_editor_for_numbers(form: dict[str, Field]) -> None:
    assert form["finetune.shares"].schema["items"] == {"type": "number"}
    assert form["pretrain.model.trunk.depths"].schema["items"] == {"type": "integer"}
    assert form["phantom.pathologies"].schema["type"] == ["array", "null"]


def test_only_what_differs_from_the_form_as_it_opened_is_changed(form: dict[str, Field]) -> None:
    defaults = {name: field.default for name, field in form.items()}
    submitted = {**defaults, "pretrain.epochs": 3, "pretrain.model.trunk.depths": [1, 1, 1], "runner": "docker"}
    assert changes(submitted, defaults) == {"pretrain.epochs": 3, "pretrain.model.trunk.depths": [1, 1, 1]}
    assert changes(defaults, defaults) == {}


def test_who_submits_only_some_fields_means_each_of_them(form: dict[str, Field]) -> None:
    defaults = {name: field.default for name, field in form.items()}
    given = {"profile": "tiny", "pretrain.batch": defaults["pretrain.batch"]}
    assert changes(given, defaults) == {"pretrain.batch": defaults["pretrain.batch"]}  # not the profile's


def test_a_mapping_that_lost_a_key_has_lost_it(content: Any) -> None:
    mine = {"mimic_cxr": content["datasets"]["mimic_cxr"]}
    assert replaced(content, "datasets", mine)["datasets"] == mine
    assert replaced(content, "pretrain.objective.alpha", 2)["pretrain"]["objective"] == {
        **content["pretrain"]["objective"], "alpha": 2,
    }  # fmt: skip


def test_the_choices_on_top(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(RUNNER_VARIABLE, raising=False)
    top = {field.name: field for field in choices(["ingest", "pretrain"], repository)}
    assert list(top) == ["profile", "revision", "runner", "force"]
    for field in top.values():
        jsonschema.validate(field.default, field.schema)
    assert top["profile"].schema["enum"] == ["paper", "tiny", None]
    jsonschema.validate(["pretrain"], top["force"].schema)
    for name, value in (("force", ["imgest"]), ("profile", "/etc/passwd"), ("runner", "kubernetes"), ("revision", "")):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(value, top[name].schema)


def test_a_setting_chooses_the_runner(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RUNNER_VARIABLE, "docker")
    assert {field.name: field.default for field in choices([], repository)}["runner"] == "docker"
    monkeypatch.setenv(RUNNER_VARIABLE, "cluster")
    with pytest.raises(ValueError, match="MEDSLIP_RUNNER is 'cluster': process or docker is allowed"):
        choices([], repository)
