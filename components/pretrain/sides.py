"""The labels of a mirrored image: left and right change places.

The right middle lobe has no twin. Its mirror image lies where the lingula is, a part of the left upper lobe: mirrored,
its findings join those of the left upper lobe. The other way round, nobody can say which part of the mirrored left
upper lobe would be the middle lobe: it is absent where the whole lobe is, else not mentioned.
"""

import numpy as np
import numpy.typing as npt

from components.core.records.labels import ABSENT, NOT_MENTIONED, PRESENT
from components.core.vocabulary import ANATOMY_INDEX, PARTNERS

_PARTNERS = np.array(PARTNERS)
_MIDDLE = ANATOMY_INDEX["middle_right_lobe"]
_LEFT_UPPER = ANATOMY_INDEX["upper_left_lobe"]


def swap_sides(labels_AP: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
    """The label tensor [A, P] (1, 0, -1 not mentioned, 2 uncertain) of the image flipped left to right."""
    swapped_AP = labels_AP[_PARTNERS]
    both_2P = np.stack([swapped_AP[_LEFT_UPPER], labels_AP[_MIDDLE]])
    swapped_AP[_LEFT_UPPER] = np.where((both_2P == PRESENT).any(0), PRESENT, both_2P.max(0))
    swapped_AP[_MIDDLE] = np.where(labels_AP[_LEFT_UPPER] == ABSENT, ABSENT, NOT_MENTIONED)
    return swapped_AP
