"""Invented identities for DICOM headers: what de-identification must remove."""

from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from components.core.params import PhantomLayout

Rng = np.random.Generator


@cache
def _people() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("people.yaml").read_text(encoding="utf-8"))
    return content


def _one(rng: Rng, choices: list[Any]) -> Any:
    return choices[int(rng.integers(len(choices)))]


def _name(rng: Rng, sex: str) -> str:
    return f"{_one(rng, _people()['family'])}^{_one(rng, _people()['given'][sex])}"


@dataclass(frozen=True)
class Person:
    """A patient as the hospital knows them; dates are real calendar days, names are in DICOM's form."""

    name: str
    hospital_id: str
    sex: str
    birth_date: date
    first_visit: date
    address: str
    telephone: str


@dataclass(frozen=True)
class Visit:
    """A study as the hospital knows it."""

    day: date
    seconds: float  # since midnight
    age: int
    accession: str
    referring: str
    reading: str
    operator: str
    institution: str
    institution_address: str
    department: str

    @property
    def dicom_date(self) -> str:
        """YYYYMMDD."""
        return self.day.strftime("%Y%m%d")

    @property
    def dicom_time(self) -> str:
        """HHMMSS.FFFFFF."""
        whole = int(self.seconds)
        fraction = round((self.seconds - whole) * 1000) % 1000
        return f"{whole // 3600:02d}{whole // 60 % 60:02d}{whole % 60:02d}.{fraction:03d}"


def sample_person(rng: Rng, sex: str, age: int) -> Person:
    """An invented patient of a sex and of an age in years at the first visit."""
    first_visit = date(2110, 1, 1) + timedelta(days=int(rng.integers(0, 80 * 365)))
    born = first_visit - timedelta(days=int((age + rng.uniform(0.02, 0.95)) * 365.25))
    street, town = _one(rng, _people()["streets"]), _one(rng, _people()["towns"])
    return Person(
        name=_name(rng, sex),
        hospital_id=f"MRN{rng.integers(10**7, 10**8)}",
        sex=sex,
        birth_date=born,
        first_visit=first_visit,
        address=f"{rng.integers(1, 240)} {street}, {town}",
        telephone=f"555-{rng.integers(1000, 10000)}",
    )


def sample_visit(rng: Rng, layout: PhantomLayout, person: Person, number: int) -> Visit:
    """The number-th visit of a patient, weeks to months after the one before."""
    day = person.first_visit + timedelta(days=sum(int(rng.integers(2, 120)) for _ in range(number)))
    institution = _one(rng, _people()["institutions"][layout])
    return Visit(
        day=day,
        seconds=float(rng.uniform(0, 86_399)),
        age=int((day - person.birth_date).days / 365.25),
        accession=f"A{rng.integers(10**8, 10**9)}",
        referring=_name(rng, str(_one(rng, ["F", "M"]))),
        reading=_name(rng, str(_one(rng, ["F", "M"]))),
        operator=_name(rng, str(_one(rng, ["F", "M"]))),
        institution=institution["name"],
        institution_address=institution["address"],
        department=institution["department"],
    )
