"""A figure with its bootstrap resamples: its 95 % interval, macro means, paired differences.

Axes: R resamples, N images, G patients.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
PERCENTILES = (2.5, 97.5)
DECIMALS = 6
BLOCK = 64


class PatientBootstrap:
    """Draws patients with replacement; every image of a patient comes along as often as its patient was drawn.

    Images of one patient resemble each other, so that resampling images would give intervals that are too narrow.
    The draw depends on the set of patients and the seed, not on the order of the images.

    Args:
        patients: the patient of every image, length N.
        samples: the number of resamples R.
        seed: the same seed gives the same resamples.

    Raises:
        ValueError: there is no image.
    """

    def __init__(self, patients: Sequence[str], samples: int, seed: int) -> None:
        if len(patients) == 0:
            raise ValueError("a bootstrap over patients needs at least one image")
        names, self.patient_N = np.unique(np.asarray(patients, dtype=np.str_), return_inverse=True)
        generator = np.random.default_rng(seed)
        self.draws_RG = np.empty((samples, len(names)), np.int32)
        for draws_G in self.draws_RG:
            draws_G[:] = np.bincount(generator.integers(len(names), size=len(names)), minlength=len(names))

    @property
    def samples(self) -> int:
        """The number of resamples."""
        return len(self.draws_RG)

    def weights(self, images: npt.NDArray[np.intp]) -> npt.NDArray[np.int32]:
        """How often each of the given images is in each resample, int32 [R, len(images)]."""
        return self.draws_RG[:, self.patient_N[images]]

    def blocks(self) -> Iterator[slice]:
        """The resamples in blocks that stay in the processor's cache."""
        return (slice(start, start + BLOCK) for start in range(0, self.samples, BLOCK))

    def sums(self, values_NK: npt.NDArray[np.floating]) -> Floats:
        """The sums of columns over the images of each resample, [R, K]."""
        by_patient_GK = np.zeros((self.draws_RG.shape[1], values_NK.shape[1]))
        np.add.at(by_patient_GK, self.patient_N, values_NK)
        return self.draws_RG @ by_patient_GK


@dataclass(frozen=True)
class Estimate:
    """A figure on the data, and the same figure on every resample (nan where it is not defined)."""

    value: float
    samples_R: Floats

    def figure(self) -> dict[str, float | None]:
        """The value with its 95 % percentile interval, as it stands in a metrics file; null where undefined."""
        defined = self.samples_R[np.isfinite(self.samples_R)]
        low, high = np.percentile(defined, PERCENTILES) if len(defined) else (np.nan, np.nan)
        return {key: rounded(number) for key, number in (("value", self.value), ("low", low), ("high", high))}

    def __sub__(self, other: "Estimate") -> "Estimate":
        """The paired difference: both figures come from the same resamples of the same patients."""
        assert len(self.samples_R) == len(other.samples_R)
        return Estimate(self.value - other.value, self.samples_R - other.samples_R)

    @classmethod
    def mean(cls, estimates: Sequence["Estimate"]) -> "Estimate":
        """The macro mean; in a resample it is taken over the classes that are defined there."""
        assert estimates
        samples_CR = np.stack([estimate.samples_R for estimate in estimates])
        defined_CR = np.isfinite(samples_CR)
        count_R = defined_CR.sum(0)
        total_R = np.where(defined_CR, samples_CR, 0.0).sum(0)
        values = [estimate.value for estimate in estimates]
        return cls(float(np.mean(values)), np.where(count_R > 0, total_R / np.maximum(count_R, 1), np.nan))


def over_seeds(estimates: Sequence[Estimate], seed: int) -> Estimate:
    """The mean of one figure over trainings with several seeds; its resamples draw seeds as well as patients.

    A bootstrap of few seeds makes their spread too small by the share (S - 1) / S; the drawn deviations are scaled up
    for it (Davison and Hinkley, Bootstrap Methods and their Application, section 2.3). Of a single seed nothing is
    known but its patients.

    Args:
        estimates: of each seed, on the same resamples of the same patients.
        seed: of the draws; the same seed draws the same, so that differences of such means are paired too.
    """
    count = len(estimates)
    samples_SR = np.stack([estimate.samples_R for estimate in estimates])
    value = float(np.mean([estimate.value for estimate in estimates]))
    if count == 1:
        return Estimate(value, samples_SR[0])
    drawn_RS = np.random.default_rng(seed).integers(count, size=(samples_SR.shape[1], count))
    share_SR = np.stack([(drawn_RS == number).mean(1) for number in range(count)])
    weights_SR = 1 / count + (share_SR - 1 / count) * np.sqrt(count / (count - 1))
    return Estimate(value, (weights_SR * samples_SR).sum(0))


def rounded(number: float) -> float | None:
    """A number as it stands in a metrics file: six decimals, null where it is not finite."""
    return round(float(number), DECIMALS) if np.isfinite(number) else None


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """An elementwise quotient, nan where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.full(np.shape(numerator), np.nan), where=denominator != 0)


def mean_estimate(values_N: npt.NDArray[np.floating], bootstrap: PatientBootstrap) -> Estimate:
    """The mean over images, with its resamples; nan is left out."""
    known_N = np.isfinite(values_N)
    columns_NK = np.stack([np.where(known_N, values_N, 0.0), known_N], axis=1).astype(np.float64)
    sums_RK = np.concatenate([columns_NK.sum(0, keepdims=True), bootstrap.sums(columns_NK)])
    means_R = ratio(sums_RK[:, 0], sums_RK[:, 1])
    return Estimate(float(means_R[0]), means_R[1:])
