"""The words of the phantom's reports: data files and their schema.

Templates hold {degree}, {noun}, {of} (a place as an adjective), {at} (a place with its preposition), {side} and `a(n)`.
"""

from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator

from components.core.vocabulary import ANATOMY_INDEX, PATHOLOGY_INDEX

FOLDER = Path(__file__).parent
Texts = tuple[str, ...]
Change = Literal["same", "new", "worse", "better"]
Presence = Literal["present", "absent", "uncertain"]
Row = tuple[str, str, Presence]  # pathology, anatomy, presence
FINDING_FILES = ("lungs", "pleura_and_heart", "devices", "bones")
HERE = "here"  # stands for the finding's own place


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Place(_Entry):
    """How a place is called before a noun, and with its preposition."""

    of: Texts = ("",)
    at: Texts = ("",)


class Places(_Entry):
    """Places by anatomy, and pairs of them by the left one's name."""

    single: dict[str, Place]
    both: dict[str, Place]


class Also(_Entry):
    """What a template asserts beside its own finding; the anatomy `here` is the finding's."""

    pathology: str
    anatomy: str
    presence: Presence

    def place_of(self, anatomy: str) -> str:
        """The anatomy, given the finding's; `costophrenic` takes the finding's side."""
        if self.anatomy == HERE:
            return anatomy
        side = next((side for side in ("left", "right") if side in anatomy), None)
        return f"{side}_{self.anatomy}" if side and f"{side}_{self.anatomy}" in ANATOMY_INDEX else self.anatomy


class Template(_Entry):
    """A sentence to be filled."""

    text: str
    also: tuple[Also, ...] = ()


class FindingWording(_Entry):
    """How one pathology is told."""

    system: str
    weight: float = 0.0  # how much graver for the impression than its severity says
    stated: float = Field(ge=0, le=1)  # how often it is denied where it is absent
    noun: Texts
    plural: Texts
    degree: dict[str, Texts]  # by grade
    places: dict[str, Place] = {}
    both: Place | None = None
    present: tuple[Template, ...]
    several: tuple[Template, ...] = ()
    uncertain: tuple[Template, ...] = ()
    changes: tuple[Change, ...] = ("same", "new", "worse", "better")  # what may be said against the study before
    resolved: Texts | None = None  # how it is told that it has gone; the common ways where not given
    other_side: Texts = ()  # how it is denied on the other side
    absent: Texts = ()  # its names in plain denials, which assert it absent at `absent_at`
    absent_at: str = "unspecified"
    absent_unless: tuple[str, ...] = ()  # pathologies that forbid a plain denial
    impression: Texts = ()

    @field_validator("present", "several", "uncertain", mode="before")
    @classmethod
    def _plain_sentences(cls, templates: list[Any]) -> list[Any]:
        return [{"text": template} if isinstance(template, str) else template for template in templates]


class Statement(_Entry):
    """Sentences of what is absent or normal; not used where one of `unless`, or what they deny, was drawn."""

    system: str
    rows: tuple[Row, ...]
    unless: tuple[str, ...] = ()
    text: Texts
    chance: float = 1.0

    @field_validator("rows")
    @classmethod
    def _known_terms(cls, rows: tuple[Row, ...]) -> tuple[Row, ...]:
        for pathology, anatomy, _ in rows:
            if pathology not in PATHOLOGY_INDEX or anatomy not in ANATOMY_INDEX:
                raise ValueError(f"{pathology} at {anatomy} is not of the vocabulary")
        return rows


class Headings(_Entry):
    """Titles, headings, and what stands under those that tell no finding."""

    titles: Texts
    names: dict[str, Texts]
    chance: dict[str, float]
    content: dict[str, dict[str, Texts]]  # by section and view
    sex: dict[str, Texts]
    reasons: Texts
    priors: Texts
    no_priors: Texts


class Wording(_Entry):
    """All the words."""

    findings: dict[str, FindingWording]
    places: Places
    comparison: dict[Change, Texts]
    resolved: Texts
    hedges: Texts
    denying: Texts
    denials: tuple[Statement, ...]
    remarks: tuple[Statement, ...]
    nothing: tuple[Statement, ...]
    above: Texts
    orders: tuple[tuple[str, ...], ...]
    headings: Headings


def _read(name: str) -> Any:
    return yaml.load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)


@cache
def wording() -> Wording:
    """Every data file of this folder, checked."""
    findings = {name: entry for part in FINDING_FILES for name, entry in _read(part).items()}
    parts = {"findings": findings, "places": _read("places"), "headings": _read("headings")}
    return Wording.model_validate({**parts, **_read("normal"), **_read("comparison")})
