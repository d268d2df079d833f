"""What the page says in sentences, of any run: what the model is for, what it must not be used for."""

from collections.abc import Iterator

OTHER_MODELS = (
    "The figures of this section are of other models, not of the one that this page describes: each way of "
    "pretraining was trained and judged anew, at the commit and on the archives that stand beside it."
)


def intended_use(terms_known: bool) -> list[str]:
    """What the model answers, and what for.

    Args:
        terms_known: whether it is known which findings its training reports named.
    """
    named = "each finding that its training reports named both present and absent"
    unknown = "every finding of the vocabulary, since it is not known which ones its training reports named"
    return [
        f"The model takes frontal chest radiographs and answers, for {named if terms_known else unknown}, how probable "
        "it is and where in the image it looked.",
        "It is meant for research on representation learning and as a start for models with few labels.",
    ]


def limits(given: bool, only_synthetic: bool) -> Iterator[str]:
    """What the model is not, and what its answers do not say.

    Args:
        given: whether its weights began as those of another model.
        only_synthetic: whether every archive of the run is synthetic.
    """
    real = "no real patient" if only_synthetic else "only the archives named below"
    yield "It is not a medical device. It must not be used to diagnose, to triage or to rule out disease."
    yield (
        f"It has seen {'images that this page does not describe' if given else real}: other hospitals, scanners, ages "
        "and projections may look different to it, and its probabilities need to be calibrated anew there."
    )
    yield (
        "What a report leaves out is not known to be absent; labels that come from reports carry the reporting habits "
        "of their hospital."
    )
    yield "Attention maps show where the model looked, not why."
    yield (
        "It is one training. The intervals on this page say how figures vary with the patients; with another seed or "
        "another order of the same images there is another model, whose maps above all may point elsewhere."
    )


def synthetic_data(names: list[str]) -> str:
    """The notice about archives that a program drew."""
    return (
        f"The radiographs of {', '.join(names)} were drawn by a program. Figures on them show that the pipeline and "
        "the model work; they say nothing about patients."
    )
