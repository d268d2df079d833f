"""What is to be drawn: a patient, a view and findings, and how often each occurs.

View, sex, age, habitus and findings are drawn independently of one another, but for two declared rates: devices are
`AP_DEVICE_RATIO` times as frequent on AP as on PA radiographs, and the pathologies in `COMPANIONS` come together as in
life. So nothing but the image itself tells a finding.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from components.core.params import Phantom
from components.core.vocabulary import ANATOMY_INDEX, PATHOLOGY_INDEX

UNSEEN = ("covid",)  # drawn on demand, in none of the vocabulary's terms, and so in no archive with reports
TRIES = 500
LOWEST_SEVERITY = 0.05
AP_SHARE = 0.4
AP_DEVICE_RATIO = 1.4
GRADES = ((0.25, "subtle"), (0.5, "mild"), (0.75, "moderate"), (float("inf"), "severe"))


@dataclass(frozen=True)
class Finding:
    """One finding: names of the vocabulary, and a severity from 0 (invisible) to 1 (gross)."""

    pathology: str
    anatomy: str
    severity: float

    def __post_init__(self) -> None:
        assert self.pathology in PATHOLOGY_INDEX or self.pathology in UNSEEN, self.pathology
        assert self.anatomy in ANATOMY_INDEX, self.anatomy
        assert 0 <= self.severity <= 1, self.severity


@dataclass(frozen=True)
class Patient:
    """Sex is F or M, age in years, habitus a standard score: below 0 slender, above 0 stout."""

    sex: str
    age: int
    habitus: float


@dataclass(frozen=True)
class Study:
    """One radiograph to draw; the view is PA or AP."""

    patient: Patient
    view: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Occurrence:
    """How often a pathology occurs and where.

    `share` is relative to the other pathologies'; `both` is the chance that it is found at a second of its places too.
    """

    share: float
    places: dict[str, float]
    both: float = 0.0


OCCURRENCES = {
    "effusion": Occurrence(0.10, {"left_pleural": 1, "right_pleural": 1}, both=0.3),
    "pneumothorax": Occurrence(0.075, {"left_pleural": 1, "right_pleural": 1}),
    "consolidation": Occurrence(
        0.085,
        {
            "lower_left_lobe": 3,
            "lower_right_lobe": 3,
            "middle_right_lobe": 2,
            "upper_left_lobe": 2,
            "upper_right_lobe": 2,
        },
        both=0.1,
    ),
    "opacity": Occurrence(
        0.09,
        {
            "left_lower_lung": 3,
            "right_lower_lung": 3,
            "left_mid_lung": 2,
            "right_mid_lung": 2,
            "left_upper_lung": 1,
            "right_upper_lung": 1,
        },
        both=0.15,
    ),
    "atelectasis": Occurrence(0.085, {"left_lower_lung": 2, "right_lower_lung": 2, "lung_bases": 1}),
    "edema": Occurrence(0.075, {"interstitium": 1, "parenchymal": 1}),
    "nodule": Occurrence(
        0.08,
        {
            "left_lower_lung": 1,
            "right_lower_lung": 1,
            "left_mid_lung": 1,
            "right_mid_lung": 1,
            "left_upper_lung": 1,
            "right_upper_lung": 1,
        },
    ),
    "mass": Occurrence(
        0.065,
        {
            "left_lower_lung": 1,
            "right_lower_lung": 1,
            "left_mid_lung": 1,
            "right_mid_lung": 1,
            "left_upper_lung": 1,
            "right_upper_lung": 1,
        },
    ),
    "cardiomegaly": Occurrence(0.10, {"heart_size": 1}),
    "elevation": Occurrence(0.065, {"left_diaphragm": 1, "right_diaphragm": 2}),
    "pacemaker": Occurrence(0.06, {"right_ventricle": 1}),
    "catheter": Occurrence(0.065, {"svc": 2, "cavoatrial_junction": 2, "right_atrium": 1}),
    "picc": Occurrence(0.06, {"svc": 1, "cavoatrial_junction": 1}),
    "tube": Occurrence(0.07, {"trachea": 3, "stomach": 2}, both=0.2),
    "fracture": Occurrence(0.06, {"rib": 2, "clavicle": 1}),
    "calcification": Occurrence(0.06, {"aorta": 1}),
    "tortuous": Occurrence(0.06, {"aorta": 1}),
    "hyperinflate": Occurrence(0.065, {"lung_volumes": 1}),
    "scar": Occurrence(0.06, {"lung_apices": 1, "left_apical_lung": 1, "right_apical_lung": 1}),
    "thicken": Occurrence(0.06, {"left_pleural": 1, "right_pleural": 1}),
    "enlarge": Occurrence(0.065, {"left_hilar": 1, "right_hilar": 1}, both=0.3),
    "hernia": Occurrence(0.06, {"retrocardiac": 1}),
    "wire": Occurrence(0.06, {"mediastinal": 1}),
    "clip": Occurrence(0.055, {"mediastinal": 2, "left_hilar": 1, "right_hilar": 1}),
}

DEVICES = frozenset({"pacemaker", "catheter", "picc", "tube", "wire", "clip"})

# (cause, companion): the chance that the cause brings the companion with it, if it is not there already.
COMPANIONS = {
    ("edema", "effusion"): 0.30,
    ("edema", "cardiomegaly"): 0.25,
    ("wire", "clip"): 0.25,
    ("tube", "catheter"): 0.20,
}

# Findings that fill the same part of the chest would hide one another: only one of them is drawn in each part.
FILLING = frozenset({"effusion", "consolidation", "opacity", "atelectasis", "nodule", "mass", "elevation", "thicken"})
APICAL = frozenset({"pneumothorax", "scar"})
_PARTS = {
    "left_pleural": ("left lower",),
    "right_pleural": ("right lower",),
    "left_diaphragm": ("left lower",),
    "right_diaphragm": ("right lower",),
    "left_lower_lung": ("left lower",),
    "right_lower_lung": ("right lower",),
    "lung_bases": ("left lower", "right lower"),
    "left_mid_lung": ("left mid",),
    "right_mid_lung": ("right mid",),
    "left_upper_lung": ("left upper",),
    "right_upper_lung": ("right upper",),
    "lower_left_lobe": ("left lower",),
    "lower_right_lobe": ("right lower",),
    "middle_right_lobe": ("right mid", "right lower"),
    "upper_left_lobe": ("left upper", "left mid"),
    "upper_right_lobe": ("right upper",),
}


def grade(severity: float) -> str:
    """The word for a severity: subtle below 0.25, mild below 0.5, moderate below 0.75, then severe."""
    return next(word for limit, word in GRADES if severity < limit)


def _parts(pathology: str, anatomy: str) -> tuple[str, ...]:
    """The parts of the chest that a finding takes up alone; empty where it hides nothing."""
    if pathology in FILLING:
        return _PARTS[anatomy]
    if pathology in APICAL:
        sides = [side for side in ("left", "right") if anatomy.startswith(side)] or ["left", "right"]
        return tuple(f"{side} apex" for side in sides)
    return ()


@dataclass(frozen=True)
class Mix:
    """Which pathologies an archive shows, and about how many findings a radiograph has on average."""

    pathologies: frozenset[str]
    finding_rate: float

    @classmethod
    def of(cls, settings: Phantom) -> "Mix":
        """What params.yaml asks for.

        Raises:
            ValueError: a pathology that nothing here can draw.
        """
        wanted = list(OCCURRENCES) if settings.pathologies is None else settings.pathologies
        for place, name in enumerate(wanted):
            if name not in OCCURRENCES:
                raise ValueError(
                    f"phantom.pathologies[{place}]: {name} cannot be drawn; allowed: {', '.join(sorted(OCCURRENCES))}"
                )
        return cls(frozenset(wanted), settings.finding_rate)

    def only(self, pathologies: frozenset[str]) -> "Mix":
        """The mix of those pathologies alone; the same mix where it shows none of them."""
        return Mix(self.pathologies & pathologies or self.pathologies, self.finding_rate)

    @property
    def companions(self) -> dict[tuple[str, str], float]:
        """Those of `COMPANIONS` that are shown."""
        return {pair: chance for pair, chance in COMPANIONS.items() if self.pathologies.issuperset(pair)}


@cache
def _expected_findings(mix: Mix) -> float:
    """Findings to expect if each pathology occurred with its own share, companions included."""
    alone = sum(OCCURRENCES[name].share * (1 + OCCURRENCES[name].both) for name in sorted(mix.pathologies))
    brought = sum(
        OCCURRENCES[cause].share * chance * (1 - OCCURRENCES[companion].share) * (1 + OCCURRENCES[companion].both)
        for (cause, companion), chance in mix.companions.items()
    )
    return alone + brought


def _pathologies(rng: np.random.Generator, view: str, mix: Mix) -> list[str]:
    """Which pathologies a radiograph shows, in the order of `OCCURRENCES`."""
    device = {"PA": 1.0, "AP": AP_DEVICE_RATIO}[view] / (1 - AP_SHARE + AP_SHARE * AP_DEVICE_RATIO)
    scale = mix.finding_rate / _expected_findings(mix)
    chance = {
        name: occurrence.share * scale * (device if name in DEVICES else 1.0)
        for name, occurrence in OCCURRENCES.items()
        if name in mix.pathologies
    }
    shown = {name for name, draw in zip(chance, rng.random(len(chance)), strict=True) if draw < chance[name]}
    companions = mix.companions
    for ((cause, companion), likely), draw in zip(companions.items(), rng.random(len(companions)), strict=True):
        if cause in shown and draw < likely:
            shown.add(companion)
    return [name for name in OCCURRENCES if name in shown]


def _places(rng: np.random.Generator, pathology: str, taken: set[str]) -> Iterator[str]:
    """Where a pathology is shown: one or two of its places whose part of the chest is not taken yet."""
    occurrence = OCCURRENCES[pathology]
    wanted = 1 + (rng.random() < occurrence.both)
    names = list(occurrence.places)
    weights = np.array(list(occurrence.places.values()), dtype=float)
    for index in rng.choice(len(names), size=len(names), replace=False, p=weights / weights.sum()):
        parts = _parts(pathology, names[index])
        if wanted and not taken.intersection(parts):
            taken.update(parts)
            wanted -= 1
            yield names[index]


def sample_patient(rng: np.random.Generator) -> Patient:
    """A patient of 18 to 95 years."""
    return Patient(
        sex="F" if rng.random() < 0.5 else "M",
        age=int(np.clip(round(rng.normal(60, 17)), 18, 95)),
        habitus=float(np.clip(rng.normal(0, 1), -2, 2)),
    )


def sample_study(rng: np.random.Generator, patient: Patient, mix: Mix) -> Study:
    """A radiograph of a patient with findings of the mix; one with none at a rate of 0.

    Equal generators give equal studies. Severities are uniform from `LOWEST_SEVERITY` to 1.
    """
    view = "AP" if rng.random() < AP_SHARE else "PA"
    taken: set[str] = set()
    findings = [
        Finding(pathology, anatomy, float(rng.uniform(LOWEST_SEVERITY, 1)))
        for pathology in _pathologies(rng, view, mix)
        for anatomy in _places(rng, pathology, taken)
    ]
    return Study(patient, view, tuple(findings))


def sample_study_with(
    rng: np.random.Generator, patient: Patient, mix: Mix, wanted: frozenset[str], share: float
) -> Study:
    """A radiograph with one of the wanted pathologies at a share; where they are too rare, the last one tried."""
    present = rng.random() < share
    for _ in range(TRIES):
        study = sample_study(rng, patient, mix)
        if any(finding.pathology in wanted for finding in study.findings) == present:
            break
    return study
