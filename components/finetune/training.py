"""Training one classifier, and reading its scores. Axes: N images, C classes."""

import logging
import sys
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from lightning import Trainer

from components.core.devices import device
from components.core.params import Finetune
from components.core.records.shards import ImageShards
from components.finetune.examples import Labelled
from components.finetune.loading import LabelledImages, ReadingOrder, TrainingOrder, loader
from components.finetune.task import Classifier, EarlyStop, Finetuning


@dataclass(frozen=True)
class Fit:
    """A trained classifier: the weights of its best look at the validation split, and how it came to them."""

    classifier: Classifier
    steps: int
    best_step: int
    validation_losses: tuple[float, ...]


def fit(
    classifier: Classifier,
    train: Labelled,
    validation: Labelled,
    shards: ImageShards,
    side: int,
    steps_a_look: int,
    settings: Finetune,
) -> Fit:
    """Train for `epochs` looks of `steps_a_look` steps at most, and go back to the best look."""
    steps = settings.epochs * steps_a_look
    torch.manual_seed(settings.seed)
    task, stop = Finetuning(classifier, settings, steps), EarlyStop(settings.patience)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    trainer = Trainer(
        accelerator="gpu" if device().type == "cuda" else "cpu",
        devices=1,
        precision=settings.precision,
        max_epochs=1,
        val_check_interval=steps_a_look,
        num_sanity_val_steps=0,
        callbacks=[stop],
        enable_progress_bar=sys.stderr.isatty(),
        enable_model_summary=False,
        enable_checkpointing=False,
        logger=False,
    )
    trainer.fit(
        task,
        loader(
            LabelledImages(train, shards, side, settings.seed),
            TrainingOrder(len(train), settings.batch, steps, settings.seed),
        ),
        loader(LabelledImages(validation, shards, side, settings.seed), ReadingOrder(len(validation), settings.batch)),
    )
    classifier.load_state_dict(stop.best)
    done = len(stop.losses) * steps_a_look
    return Fit(classifier.eval(), done, (stop.best_look + 1) * steps_a_look, tuple(stop.losses))


def scores(
    classifier: Classifier, labelled: Labelled, shards: ImageShards, side: int, settings: Finetune
) -> npt.NDArray[np.float64]:
    """Probabilities [N, C] in full precision."""
    place = device()
    classifier = classifier.eval().to(place)
    images = loader(LabelledImages(labelled, shards, side, settings.seed), ReadingOrder(len(labelled), settings.batch))
    with torch.inference_mode():
        logits = [classifier(images_B1SS.to(place)).double().sigmoid().cpu() for images_B1SS, _ in images]
    return torch.cat(logits).numpy()
