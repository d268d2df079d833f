"""The pretrained model on images: how likely each pathology is, and where it looks for it.

Axes: N images, B batch, Q asked pathologies, L decoder layers, h and w rows and columns of patches, S side in pixels.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from components.core.model import VisionLanguageModel
from components.core.records.resize import resized
from components.core.records.shards import ImageShards
from components.core.vocabulary import PATHOLOGY_INDEX


@dataclass(frozen=True)
class Answers:
    """What the model says of every image.

    Attributes:
        image_ids: the images, length N.
        pathologies: what was asked for, length Q.
        score_NQ: probability of each pathology.
        maps_NQhw: cross-attention of its query to the patches, averaged over layers and heads.
        both_NQhw: the same, times where the anatomy stream looks for the pathology's places.
    """

    image_ids: tuple[str, ...]
    pathologies: tuple[str, ...]
    score_NQ: npt.NDArray[np.float64]
    maps_NQhw: npt.NDArray[np.float32]
    both_NQhw: npt.NDArray[np.float32]

    def __add__(self, other: "Answers") -> "Answers":
        """The answers to more questions about the same images."""
        assert self.image_ids == other.image_ids
        columns = [np.concatenate([getattr(self, key), getattr(other, key)], 1)
                   for key in ("score_NQ", "maps_NQhw", "both_NQhw")]  # fmt: skip
        return Answers(self.image_ids, self.pathologies + other.pathologies, *columns)


def both_streams(attention_BQN: torch.Tensor, places_BAQ: torch.Tensor, anatomies_BAN: torch.Tensor) -> torch.Tensor:
    """The map of each pathology, weighted by the anatomy stream's maps, [B, Q, N].

    The anatomies' maps are averaged by how likely each is the place of the pathology; the product of the two streams is
    large where both look.
    """
    weights_BAQ = places_BAQ / places_BAQ.sum(1, keepdim=True)
    return attention_BQN * (weights_BAQ.transpose(1, 2) @ anatomies_BAN)


def batches(images: pd.DataFrame, shards: ImageShards, side: int, batch: int) -> Iterator[torch.Tensor]:
    """The images of a manifest, in its order, uint8 [B, 1, side, side] at a time."""
    places = list(zip(images["shard"].tolist(), images["row"].tolist(), strict=True))
    for start in range(0, len(places), batch):
        batch_BHW = np.stack([resized(shards[place], side) for place in places[start : start + batch]])
        yield torch.from_numpy(batch_BHW)[:, None]


def ask(
    model: VisionLanguageModel,
    images: Iterator[torch.Tensor],
    image_ids: Sequence[str],
    pathologies: Sequence[str],
    device: torch.device,
    described: Mapping[str, torch.Tensor] | None = None,
) -> Answers:
    """Ask the model for pathologies in every image: of its vocabulary, or described by an encoded definition.

    Queries look at each other in the decoder. A definition is asked beside the whole vocabulary, as those were trained,
    and in a pass of its own, so that the vocabulary's answers do not depend on what else is asked.

    Args:
        model: of any form.
        images: uint8 [B, 1, S, S] at a time.
        image_ids: their names.
        pathologies: what is asked for: names of the vocabulary, or of `described`.
        device: where.
        described: definitions by name, each encoded [T].

    Raises:
        ValueError: the model knows no text, and something is described.
    """
    model = model.eval().to(device)
    book_PT, place_of = None, dict(PATHOLOGY_INDEX)
    if described:
        book_PT = torch.cat([model.book_p_PT, torch.stack(list(described.values())).to(device)])
        place_of = {name: len(model.book_p_PT) + place for place, name in enumerate(described)}
    asked = torch.tensor([place_of[name] for name in pathologies], dtype=torch.long, device=device)
    scores: list[npt.NDArray[np.float64]] = []
    maps: list[npt.NDArray[np.float32]] = []
    both: list[npt.NDArray[np.float32]] = []
    with torch.inference_mode():
        for images_B1SS in images:
            outputs = model(images_B1SS.to(device), book_PT, attention=True)
            assert outputs.attention_p_BLPN is not None
            assert outputs.attention_a_BLAN is not None
            attention_BQN = outputs.attention_p_BLPN.mean(1)[:, asked]
            scores.append(outputs.presence_BP[:, asked].double().cpu().numpy())
            both_BQN = both_streams(attention_BQN, outputs.place_BAP[..., asked], outputs.attention_a_BLAN.mean(1))
            for kept, map_BQN in ((maps, attention_BQN), (both, both_BQN)):
                kept.append(map_BQN.unflatten(-1, outputs.grid).float().cpu().numpy())
    return Answers(
        tuple(image_ids), tuple(pathologies), np.concatenate(scores), np.concatenate(maps), np.concatenate(both)
    )


@dataclass(frozen=True)
class ClassAnswers:
    """The answers in the classes of a truth: each class stands for one or several pathologies.

    Attributes:
        names: the classes, length C.
        score_NC: the probability of the likeliest of a class's pathologies.
        speaker_NC: which of the asked pathologies that is; its map is the map of the class.
    """

    names: tuple[str, ...]
    score_NC: npt.NDArray[np.float64]
    speaker_NC: npt.NDArray[np.intp]


def by_class(answers: Answers, classes: dict[str, tuple[str, ...]]) -> ClassAnswers:
    """Answers for classes: the likeliest pathology of a class speaks for it.

    The largest probability is right where any of the pathologies makes the class true, and it names the one map that
    shows why.
    """
    place = {name: index for index, name in enumerate(answers.pathologies)}
    scores, speakers = [], []
    for pathologies in classes.values():
        members = np.array([place[name] for name in pathologies])
        best_N = answers.score_NQ[:, members].argmax(1)
        speakers.append(members[best_N])
        scores.append(np.take_along_axis(answers.score_NQ[:, members], best_N[:, None], 1)[:, 0])
    shape = (len(answers.image_ids), 0)
    return ClassAnswers(
        tuple(classes),
        np.stack(scores, 1) if scores else np.empty(shape),
        np.stack(speakers, 1) if speakers else np.empty(shape, np.intp),
    )
