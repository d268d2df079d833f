"""The lexicon file: what a person may add to it, and what its loader refuses."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.core.vocabulary import PATHOLOGIES
from components.reports.lexicon import SYNONYMS, lexicon, plurals, read_lexicon
from components.reports.mentions import items_of


def changed(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    content = yaml.safe_load(SYNONYMS.read_text(encoding="utf-8"))
    change(content)
    path = folder / "synonyms.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def test_a_new_word_is_found_with_its_plural(tmp_path: Path) -> None:
    path = changed(tmp_path, lambda content: content["pathologies"]["effusion"]["nouns"].append("wet spot"))
    found = [
        item.value for item in items_of("Two wet-spots and a wet\nspot.", read_lexicon(path))[0] if item.kind == "noun"
    ]
    assert found == ["effusion", "effusion"]


REFUSED = {
    "a pathology that is not in the vocabulary": (
        lambda content: content["pathologies"].update(dropsy={"nouns": ["dropsy"], "place": "lung"}),
        "'dropsy' is not a pathology of the vocabulary",
    ),
    "an anatomy that is not in the vocabulary": (
        lambda content: content["places"]["aorta"].update(none=["artery"]),
        "'artery' is not an anatomy of the vocabulary",
    ),
    "a place that is not in the file": (
        lambda content: content["pathologies"]["mass"].update(place="everywhere"),
        "'everywhere' is not a place of this file",
    ),
    "a phrase that stands twice": (
        lambda content: content["pathologies"]["mass"]["nouns"].append("effusion"),
        "'effusion' stands twice",
    ),
    "a bare no, which YAML reads as a truth value": (
        lambda content: content["cues"]["absent"]["before"].append(False),
        "False is not a phrase",
    ),
    "a spelling of two words": (
        lambda content: content["spellings"].update({"hemi diaphragm": "hemidiaphragm"}),
        "'hemi diaphragm' is not a single word",
    ),
    "a missing part": (lambda content: content.pop("sides"), "'sides' is missing"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused_by_name(name: str, tmp_path: Path) -> None:
    change, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        read_lexicon(changed(tmp_path, change))


@pytest.mark.parametrize(
    ("word", "plural"),
    [
        ("opacity", "opacities"),
        ("effusion", "effusions"),
        ("apex", "apexes"),
        ("diagnosis", "diagnoses"),
    ],
)
def test_plurals(word: str, plural: str) -> None:
    assert list(plurals(word)) == [plural]


def test_the_longest_phrase_wins() -> None:
    items = items_of("right hilar calcified lymph nodes, pleural thickening, low lung volumes", lexicon())[0]
    assert [item.phrase for item in items if item.kind == "noun"] == [
        "calcified lymph node", "pleural thickening", "low lung volumes",
    ]  # fmt: skip


def test_every_pathology_but_the_catch_all_has_words() -> None:
    spoken = yaml.safe_load(SYNONYMS.read_text(encoding="utf-8"))["pathologies"]
    assert set(PATHOLOGIES) - set(spoken) == {"excluded_obs"}
