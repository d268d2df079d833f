"""The picture: the radiograph on its own pixels, with the place of every finding that is likely enough."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from components.core.records.letterbox import Letterbox
from components.serve.findings import Finding, source_map

# Okabe and Ito's colours, told apart by nearly everyone, from the brightest; findings take turns.
COLOURS = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (213, 94, 0), (204, 121, 167))
HEAT = 0.45  # opacity where the model looks most


def draw_overlay(
    large_HW: npt.NDArray[np.uint8], letterbox: Letterbox, findings: Sequence[Finding], show: float
) -> Image.Image:
    """Colour the radiograph where the model looks, RGB of the source's own size.

    Args:
        large_HW: uint8 [H, W].
        letterbox: where the source lay in the model's image.
        findings: most probable first; those of probability `show` or more are drawn.
        show: 0 to 1.
    """
    shown = [finding for finding in findings if finding.probability >= show]
    picture_HW3 = np.repeat(large_HW[..., None], 3, 2).astype(np.float32)
    for number, finding in enumerate(shown):
        heat_HW1 = HEAT * source_map(finding.map_hw, letterbox)[..., None] ** 2
        picture_HW3 += heat_HW1 * (np.array(COLOURS[number % len(COLOURS)], np.float32) - picture_HW3)
    image = Image.fromarray(picture_HW3.round().clip(0, 255).astype(np.uint8))
    _write(image, shown, show)
    return image


def _at(finding: Finding) -> str:
    return f", {finding.anatomy.replace('_', ' ')}" if finding.anatomy else ""


def _write(image: Image.Image, shown: Sequence[Finding], show: float) -> None:
    """Boxes, and a legend in the corner: boxes that overlap would hide labels of their own."""
    draw = ImageDraw.Draw(image)
    unit = max(9, min(image.size) // 50)
    font = ImageFont.load_default(unit)
    lines = [(f"No finding at {show:.2f} or above", (255, 255, 255))]
    if shown:
        lines = [
            (f"{finding.pathology} {finding.probability:.2f}{_at(finding)}", COLOURS[number % len(COLOURS)])
            for number, finding in enumerate(shown)
        ]
    for finding, (_, colour) in zip(shown, lines, strict=False):
        if finding.box is not None:
            x, y, width, height = finding.box
            draw.rectangle((x, y, x + width - 1, y + height - 1), outline=colour, width=max(1, unit // 8))
    lines.append(("Research use only", (255, 255, 255)))
    for number, (words, colour) in enumerate(lines):
        place = (unit // 2, unit // 2 + number * 1.3 * unit)
        draw.text(place, words, fill=colour, font=font, stroke_width=max(1, unit // 10), stroke_fill=(0, 0, 0))
