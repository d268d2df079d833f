"""The image trunk: grey levels to patches."""

from typing import cast

import torch
from torch import Tensor, nn
from transformers import AutoBackbone, ResNetConfig

from components.core.params import Trunk as TrunkSizes

STRIDE = 16
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)


class Trunk(nn.Module):
    """A ResNet up to and including its third stage, which ResNet-50 calls layer3: stride 16.

    Any backbone of the transformers library with one feature map of that stride fits in the same place.
    """

    mean_13HW: Tensor
    deviation_13HW: Tensor

    def __init__(self, sizes: TrunkSizes) -> None:
        super().__init__()
        self.channels = sizes.hidden_sizes[-1]
        self.backbone = AutoBackbone.from_config(
            ResNetConfig(
                num_channels=3,
                embedding_size=sizes.embedding_size,
                hidden_sizes=list(sizes.hidden_sizes),
                depths=list(sizes.depths),
                layer_type=sizes.layer_type,
                out_features=["stage3"],
            )
        )
        self.register_buffer("mean_13HW", 255 * torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation_13HW", 255 * torch.tensor(IMAGENET_DEVIATION).view(1, 3, 1, 1), False)

    def normalise(self, images_B1HW: Tensor) -> Tensor:
        """Grey levels 0 to 255, of any type, to three equal channels with ImageNet's mean and deviation."""
        images_B1HW = images_B1HW.to(self.mean_13HW.dtype)
        images_B3HW = (images_B1HW - self.mean_13HW) / self.deviation_13HW
        return images_B3HW.contiguous(memory_format=torch.channels_last)

    def forward(self, images_B1HW: Tensor) -> Tensor:
        """Patches [B, C, H / 16, W / 16] of grey images [B, 1, H, W] with levels 0 to 255 (uint8 or float).

        Raises:
            ValueError: the images are not grey, or a side is no multiple of 16.
        """
        _, channels, height, width = images_B1HW.shape
        if channels != 1 or height % STRIDE or width % STRIDE:
            raise ValueError(
                f"images have shape {tuple(images_B1HW.shape)}: one channel and sides that are multiples of {STRIDE} "
                "are allowed"
            )
        return cast(Tensor, self.backbone(self.normalise(images_B1HW)).feature_maps[0])
