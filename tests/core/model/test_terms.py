"""What a model answers for: what its training saw, or everything where nobody knows what that was."""

from pathlib import Path

import pytest

from components.core.model.terms import UNKNOWN, known_places, served_pathologies
from components.core.records.whole import write_json
from components.core.vocabulary import ANATOMIES, PATHOLOGIES

NEVER = {"present": 0, "absent": 4, "anatomies": []}
EFFUSION = {"present": 2, "absent": 3, "anatomies": ["left_pleural", "unspecified"]}


def test_what_was_asserted_and_denied_is_served_where_it_was_seen(tmp_path: Path) -> None:
    always = {"present": 4, "absent": 0, "anatomies": ["trachea"]}
    terms = {**dict.fromkeys(PATHOLOGIES, NEVER), "effusion": EFFUSION, "edema": always}
    write_json(tmp_path / "metrics.json", {"terms": terms})
    assert served_pathologies(tmp_path) == ("effusion",)
    assert known_places(tmp_path) == {**dict.fromkeys(PATHOLOGIES, ()), "effusion": ("left_pleural",),
                                      "edema": ("trachea",)}  # fmt: skip


def test_where_the_training_is_unknown_everything_is_served_everywhere(tmp_path: Path) -> None:
    write_json(tmp_path / "metrics.json", UNKNOWN)
    assert served_pathologies(tmp_path) == PATHOLOGIES
    places = known_places(tmp_path)
    assert places.keys() == set(PATHOLOGIES)
    assert set(places["effusion"]) == set(ANATOMIES) - {"unspecified", "other"}


def every(term: object) -> dict[str, object]:
    return {"terms": dict.fromkeys(PATHOLOGIES, term)}


@pytest.mark.parametrize("content", [
    {}, [], {"terms": {}}, {"terms": {"effusion": EFFUSION}}, {"terms": 3},
    every(None), every({}), every({**NEVER, "present": "4"}), every({**NEVER, "absent": True}),
    every({**NEVER, "present": -1}), every({**NEVER, "anatomies": None}), every({**NEVER, "anatomies": [3]}),
])  # fmt: skip
def test_counts_that_are_not_there_are_no_unknown_training(tmp_path: Path, content: object) -> None:
    write_json(tmp_path / "metrics.json", content)
    with pytest.raises(ValueError, match=r"metrics\.json does not say which findings the training saw"):
        served_pathologies(tmp_path)
