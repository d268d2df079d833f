"""What a model is built from: its form, its sizes, and which parts of the published form are mended."""

from pydantic import Field

from components.core.params import Form, Mends, Model, Objective, Section

# Mends that only the training knew: they leave no trace in how a trained model computes.
OF_TRAINING = frozenset({"swapped_sides", "scaled_start", "negatives_from", "positive_weight"})


class Config(Section):
    """Everything that the shape and the forward pass of a model depend on; saved beside its weights.

    Among the mends are some that only its training knew: they say how the weights came about.
    """

    image_size: int = Field(ge=32, multiple_of=16, description="Side in pixels of the images it was trained on.")
    text_width: int = Field(ge=1, description="Width T of the text encoder that made the books.")
    form: Form = Field(default="medslip", description="MeDSLIP or a baseline.")
    model: Model
    mends: Mends


def mends_of(objective: Objective) -> Mends:
    """The mends in force: none where the published mathematics is asked for."""
    return Mends() if objective.fidelity == "paper" else objective.mends
