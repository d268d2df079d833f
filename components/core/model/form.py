"""What MeDSLIP and the baselines share: the books, the trunk, and how weights start."""

from torch import Tensor, nn

from components.core.model.attention import Attention
from components.core.model.config import Config
from components.core.model.trunk import Trunk


class VisionLanguageModel(nn.Module):
    """A trunk and two books; what answers from them is a subclass.

    `forward(images_B1HW, pathologies_PT=None, anatomies_AT=None, attention=False)` of every form gives `presence_BP`,
    `place_BAP`, `attention_p_BLPN`, `attention_a_BLAN` and `grid` (see `medslip.Outputs`), so that whoever evaluates a
    model need not know its form.

    Args:
        config: form, sizes and mends.
        pathologies_PT: the book of pathologies, the text encoder's states of their definitions.
        anatomies_AT: the book of anatomies.

    Raises:
        ValueError: the books do not have the width that the configuration says.
    """

    knows_text = True  # whether definitions can be asked for in place of the book
    book_p_PT: Tensor
    book_a_AT: Tensor

    def __init__(self, config: Config, pathologies_PT: Tensor, anatomies_AT: Tensor) -> None:
        super().__init__()
        for name, book in (("pathologies", pathologies_PT), ("anatomies", anatomies_AT)):
            if book.ndim != 2 or book.shape[1] != config.text_width:
                raise ValueError(f"the book of {name} has shape {tuple(book.shape)}: its width must be T = "
                                 f"{config.text_width}")  # fmt: skip
        self.config = config
        self.register_buffer("book_p_PT", pathologies_PT.clone())
        self.register_buffer("book_a_AT", anatomies_AT.clone())
        self.trunk = Trunk(config.model.trunk)

    def asked(self, pathologies_PT: Tensor | None, anatomies_AT: Tensor | None) -> tuple[Tensor, Tensor]:
        """The encoded terms that are asked for: the books where nothing else is."""
        return (
            self.book_p_PT if pathologies_PT is None else pathologies_PT,
            self.book_a_AT if anatomies_AT is None else anatomies_AT,
        )

    def trunk_patches(self, images_B1HW: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """The trunk's patches [B, N, C] of images with grey levels 0 to 255, row by row, and their grid."""
        patches_BCHW = self.trunk(images_B1HW)
        grid = (patches_BCHW.shape[2], patches_BCHW.shape[3])
        return patches_BCHW.flatten(2).transpose(1, 2), grid


def initialise(model: nn.Module, scaled: bool) -> None:
    """Linear and attention weights from N(0, 0.02), as published, or scaled; the trunk keeps its own start."""
    for name, module in model.named_modules():
        if name.startswith("trunk") or not isinstance(module, nn.Linear | Attention):
            continue
        weight = module.weight if isinstance(module, nn.Linear) else module.in_proj_weight
        nn.init.normal_(weight, std=weight.shape[1] ** -0.5 if scaled else 0.02)
