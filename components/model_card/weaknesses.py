"""Where the model fails, chosen by rule from the figures of its evaluations."""

from collections.abc import Iterator, Sequence

from components.model_card.data import Archive
from components.model_card.diagnosis import Diagnosis, Judgement
from components.model_card.tuning import Tuning

WEAKEST = 3  # classes that are named although nothing else is wrong with them


def weaknesses(diagnoses: Sequence[Diagnosis], tunings: Sequence[Tuning], archives: Sequence[Archive]) -> Iterator[str]:
    """Sentences: of zero-shot, then where another start of fine-tuning is better, then images that were refused."""
    yield from _of_zero_shot(diagnoses)
    for tuned in tunings:
        for share in tuned.shares:
            for start, difference in zip(tuned.starts[1:], share.differences, strict=True):
                if difference.verdict == "worse":
                    yield (
                        f"{tuned.task}, {share.name} of the labels: the pretrained start is worse than that "
                        f"{start.replace('From', 'from')}, a difference in {tuned.headline} of {difference}."
                    )
    for archive in archives:
        if archive.refused:
            reasons = ", ".join(f"{reason.replace('_', ' ')} {count}" for reason, count in archive.reasons.items())
            yield f"{archive.name}: {archive.refused:,} objects gave no image: {reasons}."


def _of_zero_shot(diagnoses: Sequence[Diagnosis]) -> Iterator[str]:
    """The weakest classes and those not told from chance, by every truth; then where the maps are no help."""
    for one in diagnoses:
        for judgement in (one.headline, *one.others):
            yield from _of_classes(judgement, f"{one.dataset} against {judgement.truth}")
        yield from _of_places(one)
        if one.not_served:
            yield f"{one.dataset}: classes that the model cannot answer for: {', '.join(one.not_served)}."


def _of_classes(judgement: Judgement, where: str) -> Iterator[str]:
    known = [row for row in judgement.classes if row.auroc.value is not None]
    weakest = sorted(known, key=lambda row: row.auroc.value or 0)[:WEAKEST]
    if weakest:
        yield f"{where}: the lowest AUROC is that of {', '.join(f'{row.name} {row.auroc}' for row in weakest)}."
    chance = [row.name for row in known if row.auroc.low is not None and row.auroc.low <= 0.5]
    if chance:
        yield f"{where}: not told from chance (the interval holds 0.5): {', '.join(chance)}."
    if judgement.left_out:
        yield f"{where}: too few cases for any figure (positives of all): {', '.join(judgement.left_out)}."


def _of_places(one: Diagnosis) -> Iterator[str]:
    """Findings pointed at worse than their mean position, and what never looks at the image and yet does better."""
    astray = [
        f"{row.name} ({row.places:,} place{'s' if row.places > 1 else ''})"
        for row in one.grounding.rows
        if row.pointing.high is not None and row.baseline.value is not None and row.pointing.high < row.baseline.value
    ]
    if astray:
        yield f"{one.dataset}: pointed at worse than the mean position of the finding: {', '.join(astray)}."
    if one.grounding.difference_to_commonest.verdict == "worse":
        yield (
            f"{one.dataset}: the maps hit places less often than the commonest place of each finding does, a "
            f"difference in pointing of {one.grounding.difference_to_commonest}."
        )
    if one.grounding.dice.difference.verdict == "worse":
        yield (
            f"{one.dataset}: the maps overlap with places less than the mean mask of each finding does, a "
            f"difference in Dice of {one.grounding.dice.difference}."
        )
