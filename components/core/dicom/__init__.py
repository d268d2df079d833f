"""One DICOM object → a square 8-bit image and the few facts that may be kept of its header.

Example:
    >>> radiograph = render(content, size=512, window=0, percentiles=(0.5, 99.5))
    >>> radiograph.image_SS.shape
    (512, 512)
"""

from components.core.dicom.picture import render_picture
from components.core.dicom.refusal import Refused
from components.core.dicom.render import Radiograph, render

__all__ = ["Radiograph", "Refused", "render", "render_picture"]
