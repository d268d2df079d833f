"""The radiography units of an archive: which one takes an image, and how it turns tissue into stored values."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal, TypeVar

import cv2
import numpy as np
import numpy.typing as npt
import yaml
from pydantic import BaseModel, ConfigDict, Field

from components.core.params import PhantomLayout

Codec = Literal["explicit", "implicit", "rle", "jpeg2000", "jpegls", "jpeg", "png", "png_rgba"]
Rng = np.random.Generator
Choice = TypeVar("Choice")


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Stored(_Entry):
    """The pixel cell: bits stored (in 8 or 16 allocated), its meaning and its sign."""

    bits: int = Field(ge=8, le=16)
    photometric: Literal["MONOCHROME1", "MONOCHROME2"]
    signed: bool

    @property
    def allocated(self) -> int:
        """Bits allocated."""
        return 8 if self.bits == 8 else 16


class Rescale(_Entry):
    """Modality rescale, DICOM PS3.3 C.11.1: output = slope * stored + intercept."""

    slope: float
    intercept: float


class Scanner(_Entry):
    """A unit; the fields are explained at the top of scanners.yaml."""

    manufacturer: str
    model: str
    software: str
    modality: Literal["CR", "DX"]
    views: tuple[Literal["PA", "AP"], ...]
    weight: float
    stored: Stored
    range: tuple[float, float]
    rescale: Rescale | None = None
    voi: Literal["windows", "table", "sigmoid", "none"]
    field_mm: float
    spacing: tuple[Literal["ImagerPixelSpacing", "PixelSpacing"], ...]
    codecs: dict[Codec, float]
    sharpen: float
    noise: float
    origin: str | None = None


@cache
def scanners(layout: PhantomLayout) -> tuple[Scanner, ...]:
    """The units of an archive of a layout."""
    content = yaml.safe_load(Path(__file__).with_name("scanners.yaml").read_text(encoding="utf-8"))
    return tuple(Scanner.model_validate(entry) for entry in content[layout])


def weighted(rng: Rng, choices: Mapping[Choice, float]) -> Choice:
    """One of the keys, drawn by weight."""
    weights = np.array(list(choices.values()), dtype=float)
    return list(choices)[int(rng.choice(len(weights), p=weights / weights.sum()))]


def choose_scanner(layout: PhantomLayout, view: str, rng: Rng, origin: str | None = None) -> tuple[Scanner, Codec]:
    """A unit of a collection that takes the view, and the codec of the image: they depend on nothing else."""
    able = {
        index: unit.weight
        for index, unit in enumerate(scanners(layout))
        if view in unit.views and unit.origin == origin
    }
    assert able, f"no scanner of {layout} takes {view}"
    unit = scanners(layout)[weighted(rng, able)]
    return unit, weighted(rng, unit.codecs)


def expose(image_HW: npt.NDArray[np.float32], unit: Scanner, rng: Rng) -> npt.NDArray[np.integer]:
    """Stored values [H, W] of a radiograph in [0, 1], bright for dense, as the unit's detector gives them."""
    seen_HW = image_HW.astype(np.float32)
    if unit.sharpen:
        seen_HW = seen_HW + unit.sharpen * (seen_HW - cv2.GaussianBlur(seen_HW, (0, 0), 2.0))
    if unit.noise:
        seen_HW = seen_HW + unit.noise * rng.standard_normal(seen_HW.shape, dtype=np.float32)
    low, high = unit.range
    share_HW = np.clip(low + (high - low) * seen_HW, 0.0, 1.0)
    if unit.stored.photometric == "MONOCHROME1":
        share_HW = 1.0 - share_HW
    top = (1 << unit.stored.bits) - 1
    values_HW = np.rint(share_HW * top).astype(np.int32) - (1 << (unit.stored.bits - 1) if unit.stored.signed else 0)
    kind = {(8, False): np.uint8, (16, False): np.uint16, (16, True): np.int16}
    return values_HW.astype(kind[unit.stored.allocated, unit.stored.signed])
