"""What an archive holds, counted: where a data manager sees what to ask the archive about."""

from itertools import pairwise

import numpy as np
import pandas as pd

from components.core.records.tables import REASONS

Counts = dict[str, list[tuple[str, int]]]  # title → what and how many images
SPACINGS = (0.0, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, np.inf)
SIDES = (0, 128, 256, 512, 1024, 2048, 3072, np.inf)


def _of(values: pd.Series) -> list[tuple[str, int]]:
    """How often each value stands there, the most frequent first."""
    found = values.astype(object).where(values.notna(), "not told").astype(str).value_counts()
    return [(str(value), int(count)) for value, count in found.items()]


def _in_bands(values: pd.Series, edges: tuple[float, ...], unit: str) -> list[tuple[str, int]]:
    """How many values fall into each band, in order."""
    rows = [
        (f"{low:g} to {high:g} {unit}" if np.isfinite(high) else f"{low:g} {unit} and more", count)
        for low, high in pairwise(edges)
        if (count := int(((values >= low) & (values < high)).sum()))
    ]
    missing = int(values.isna().sum())
    return rows + ([("not told", missing)] if missing else [])


def counts(looked_at: dict[str, pd.DataFrame]) -> Counts:
    """Counts of the images of a dataset, from the frames that expectations look at: what identifies is masked there."""
    manifest = looked_at["manifest"]
    reasons = looked_at["rejected"]["reason"].map(lambda code: f"{code}: {REASONS.get(code, 'unknown')}")
    return {
        "Refused, by reason": _of(reasons),
        "View": _of(manifest["view"]),
        "Transfer syntax": _of(manifest["transfer_syntax"]),
        "Bits stored": _of(manifest["bits_stored"]),
        "Pixel spacing": _in_bands(manifest["pixel_spacing_mm"], SPACINGS, "mm"),
        "Shorter side": _in_bands(manifest["side"], SIDES, "pixels"),
        "Pixels of another image": _of((manifest["identical_to"] != "").map({True: "yes", False: "no"})),
        "SOP instance of another image": _of((manifest["same_instance_as"] != "").map({True: "yes", False: "no"})),
        "Split": _of(manifest["split"]),
        "Sex": _of(manifest["sex"]),
        "Age": _of(manifest["age_band"]),
    }
