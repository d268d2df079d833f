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
        for module in self.backbone.modules():
            if isinstance(module, nn.ReLU):  # what enters it, the backward pass never asks for
                module.inplace = True

    def normalise(self, images_B1HW: Tensor) -> Tensor:
        """Grey levels 0 to 255, of any type, to three equal channels with ImageNet's mean and deviation.

        The constants are Python's numbers: a buffer of float32 would round them for a model in float64, too.
        """
        images_B1HW = images_B1HW.to(self.backbone.dtype)
        channels = [
            (images_B1HW - 255 * mean) / (255 * deviation)
            for mean, deviation in zip(IMAGENET_MEAN, IMAGENET_DEVIATION, strict=True)
        ]
        return torch.cat(channels, 1).contiguous(memory_format=torch.channels_last)

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

    def stages(self, images_B1HW: Tensor) -> list[Tensor]:
        """The maps of stages 1 to 3, at strides 4, 8 and 16; the last is what `forward` gives."""
        states = self.backbone(self.normalise(images_B1HW), output_hidden_states=True).hidden_states
        return list(states[1:])
