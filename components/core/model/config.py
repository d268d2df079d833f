"""What a MeDSLIP model is built from: its sizes, and which parts of the published form are mended."""

from pydantic import Field

from components.core.params import Model, Objective, Section


class Mends(Section):
    """Each departure of the model from the published form; the default of every field is the published form."""

    bounded_mask: bool = Field(default=False, description="The disentanglement mask passes a sigmoid.")
    positions: bool = Field(default=False, description="A 2-D positional encoding is added to the patches.")
    normalised_patches: bool = Field(default=False, description="A LayerNorm brings the patches to unit scale.")
    scaled_start: bool = Field(
        default=False, description="Weights start from N(0, 1 / inputs), so that signals keep their scale at any width."
    )
    temperature: float | None = Field(
        default=None, gt=0, description="ProtoCL over normalised vectors, divided by this; null takes raw products."
    )
    scaled_relations: bool = Field(
        default=False, description="ICL over normalised vectors with a learnt scale and bias; else raw products."
    )

    @classmethod
    def of(cls, objective: Objective) -> "Mends":
        """The mends that an objective asks for: none, or all."""
        if objective.fidelity == "paper":
            return cls()
        return cls(
            bounded_mask=True,
            positions=True,
            normalised_patches=True,
            scaled_start=True,
            temperature=objective.temperature,
            scaled_relations=True,
        )


class Config(Section):
    """Everything that the shape and the forward pass of a model depend on; saved beside its weights."""

    image_size: int = Field(ge=32, multiple_of=16, description="Side in pixels of the images it was trained on.")
    text_width: int = Field(ge=1, description="Width T of the text encoder that made the books.")
    model: Model
    mends: Mends
