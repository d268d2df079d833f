"""How a training image is varied: one affine map, so that it is resampled once, and one grey-level curve.

It stands in for the published RandomResizedCrop, flip and RandAugment(2, 7), which work on full-size images. The same
map carries the image's mask along, and its boxes, which are drawn into one.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from torch import Tensor
from torch.nn import functional

from components.core.params import Variations

ASPECTS = (3 / 4, 4 / 3)  # of a crop's width to its height, as RandomResizedCrop draws them
MIDDLE_GREY = 127.5


@dataclass(frozen=True)
class Variation:
    """What was drawn for one image.

    Attributes:
        width, height: sides of the crop, as shares of the image's.
        x, y: centre of the crop, as shares of the image's sides.
        radians: rotation about the crop's centre.
        flip: whether left and right change places.
        gain, offset: grey levels become `127.5 + gain * (level - 127.5) + offset`.
    """

    width: float = 1.0
    height: float = 1.0
    x: float = 0.5
    y: float = 0.5
    radians: float = 0.0
    flip: bool = False
    gain: float = 1.0
    offset: float = 0.0

    def matrix(self, source: int, target: int) -> npt.NDArray[np.float64]:
        """The affine map, 2x3, from pixels of the target (side `target`) to pixels of the source (side `source`)."""
        scale = np.diag([self.width * (-1 if self.flip else 1), self.height]) * source / target
        cosine, sine = np.cos(self.radians), np.sin(self.radians)
        linear = np.array([[cosine, -sine], [sine, cosine]]) @ scale
        centre = np.array([self.x, self.y]) * source - 0.5
        return np.column_stack([linear, centre - linear @ np.full(2, (target - 1) / 2)])

    def moved(self, image_SS: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
        """The image, or a mask of 0 and 255, in its new place, uint8 [size, size]; black outside the source."""
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        image = cv2.warpAffine(image_SS, self.matrix(image_SS.shape[0], size), (size, size), flags=flags)
        return np.asarray(image, np.uint8)

    def apply(self, image_SS: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
        """The image in its new place with its new grey levels, uint8 [size, size]."""
        image = self.moved(image_SS, size)
        if self.gain != 1 or self.offset != 0:
            levels = MIDDLE_GREY + self.gain * (np.arange(256) - MIDDLE_GREY) + self.offset
            image = cv2.LUT(image, np.clip(np.rint(levels), 0, 255).astype(np.uint8))
        return np.asarray(image, np.uint8)


def draw(settings: Variations, generator: np.random.Generator) -> Variation:
    """Draw how an image is varied."""
    area = generator.uniform(settings.min_area, 1)
    # A crop of this area fits into the image at these aspects only.
    aspect = np.exp(generator.uniform(*np.log([max(ASPECTS[0], area), min(ASPECTS[1], 1 / area)])))
    width, height = np.sqrt(area * aspect), np.sqrt(area / aspect)
    return Variation(
        width=width,
        height=height,
        x=generator.uniform(width / 2, 1 - width / 2),
        y=generator.uniform(height / 2, 1 - height / 2),
        radians=np.deg2rad(generator.uniform(-settings.rotation_degrees, settings.rotation_degrees)),
        flip=bool(generator.random() < settings.flip),
        gain=1 + generator.uniform(-settings.contrast, settings.contrast),
        offset=MIDDLE_GREY * generator.uniform(-settings.contrast, settings.contrast),
    )


def vary_on_device(images_B1SS: Tensor, matrix_B23: Tensor, levels_B2: Tensor, size: int) -> Tensor:
    """What `Variation.apply` does, for a batch, where the batch lies; float [B, 1, size, size] of whole grey levels.

    Args:
        images_B1SS: uint8, as they lie in the shards.
        matrix_B23: of each variation (see `Variation.matrix`).
        levels_B2: gain and offset of each.
        size: side of the result.
    """
    source = images_B1SS.shape[-1]
    # align_corners=False puts the middle of pixel x at (2 x + 1) / side - 1, on either side of the map.
    to_pixels_33 = matrix_B23.new_tensor([[size / 2, 0, (size - 1) / 2], [0, size / 2, (size - 1) / 2], [0, 0, 1]])
    to_shares_22 = matrix_B23.new_tensor([[2 / source, 0], [0, 2 / source]])
    theta_B23 = to_shares_22 @ matrix_B23 @ to_pixels_33
    theta_B23[..., 2] += 1 / source - 1
    grid_BSS2 = functional.affine_grid(theta_B23, [len(images_B1SS), 1, size, size], align_corners=False)
    varied_B1SS = functional.grid_sample(images_B1SS.float(), grid_BSS2, align_corners=False).round()
    gain_B111, offset_B111 = levels_B2[:, :, None, None, None].unbind(1)
    return (MIDDLE_GREY + gain_B111 * (varied_B1SS - MIDDLE_GREY) + offset_B111).round().clamp(0, 255)
