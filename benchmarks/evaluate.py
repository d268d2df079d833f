"""What evaluation costs: zero-shot over a dataset, and the bootstrap beside a plain loop over scikit-learn.

usage: python -m benchmarks.evaluate [--images 512] [--rounds 3]

The model has the sizes of params.yaml and random weights, the images are noise in shards as ingest leaves them: neither
changes what a pass costs. The bootstrap is of 1,000 resamples of 25,000 images of 2,800 patients in 14 classes, as many
as NIH ChestX-ray14's test has. The plain loop draws patients and asks scikit-learn for each class, a few times;
the rest is multiplied. Rates of the model are by the wall clock, the best round counts; seconds of the bootstrap are of
CPU time, on one core.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import roc_auc_score

from components.core.command import finish, guarded
from components.core.devices import device
from components.core.metrics.estimate import Floats, PatientBootstrap
from components.core.metrics.ranking import Truth, auroc_estimate
from components.core.model import Config, VisionLanguageModel, build, mends_of
from components.core.params import Params, load
from components.core.records.shards import ImageShards, ShardWriter
from components.core.vocabulary import ANATOMIES, PATHOLOGIES, VISIBLE
from components.zero_shot.predict import ask, batches

TEXT_WIDTH = 128
IMAGES, PATIENTS, CLASSES, RESAMPLES = 25_000, 2_800, 14, 1_000
PLAIN_RESAMPLES = 3


def random_model(params: Params) -> VisionLanguageModel:
    """A model of the sizes of params.yaml that nobody trained."""
    config = Config(
        image_size=params.pretrain.image_size,
        text_width=TEXT_WIDTH,
        form=params.pretrain.objective.form,
        model=params.pretrain.model,
        mends=mends_of(params.pretrain.objective),
    )
    return build(config, torch.randn(len(PATHOLOGIES), TEXT_WIDTH), torch.randn(len(ANATOMIES), TEXT_WIDTH))


def write_noise(folder: Path, size: int, count: int) -> pd.DataFrame:
    """Shards of noise, and where each image lies."""
    generator, places = np.random.default_rng(0), []
    with ShardWriter(folder, size, count) as writer:
        for _ in range(count):
            places.append(writer.add(generator.integers(0, 255, (size, size), np.uint8)))
    return pd.DataFrame(places, columns=["shard", "row"])


def time_zero_shot(params: Params, count: int, rounds: int) -> None:
    """Images a second of the stage's pass over a dataset, and the share of it outside the model."""
    model, side, batch = random_model(params), params.pretrain.image_size, params.zero_shot.batch
    torch.set_num_threads(params.zero_shot.threads)
    names = [str(number) for number in range(count)]
    with tempfile.TemporaryDirectory() as folder:
        images = write_noise(Path(folder), params.ingest.size, count)
        shards = ImageShards(Path(folder))
        read = list(batches(images, shards, side, batch))
        whole = min(_seconds(model, batches(images, shards, side, batch), names) for _ in range(rounds))
    inside = min(_inside(model, read) for _ in range(rounds))
    print(f"zero-shot, {count} images of {side} px in batches of {batch}, {len(VISIBLE)} pathologies, on {device()}")
    print(f"  images a second            {count / whole:10.1f}")
    print(f"  share outside the model    {max(0.0, 1 - inside / whole):10.1%}")


def _seconds(model: VisionLanguageModel, images: Iterator[torch.Tensor], names: list[str]) -> float:
    start = time.perf_counter()
    ask(model, images, names, VISIBLE, device())
    return time.perf_counter() - start


def _inside(model: VisionLanguageModel, images: list[torch.Tensor]) -> float:
    start = time.perf_counter()
    with torch.inference_mode():
        for images_B1SS in images:
            model(images_B1SS.to(device()), attention=True).presence_BP.cpu()
    return time.perf_counter() - start


def plain_aurocs(truth_NC: Truth, score_NC: Floats, patients: np.ndarray, resamples: int) -> Floats:
    """The same by a loop: draw patients, gather their images, ask scikit-learn for each class; [R, C]."""
    generator = np.random.default_rng(0)
    rows_of = [np.flatnonzero(patients == name) for name in np.unique(patients)]
    result = np.empty((resamples, truth_NC.shape[1]))
    for resample in range(resamples):
        drawn = generator.integers(len(rows_of), size=len(rows_of))
        rows = np.concatenate([rows_of[patient] for patient in drawn])
        for number in range(truth_NC.shape[1]):
            result[resample, number] = roc_auc_score(truth_NC[rows, number], score_NC[rows, number])
    return result


def time_bootstrap() -> None:
    """Seconds of 1,000 resamples of every class, and of the plain loop."""
    generator = np.random.default_rng(0)
    truth_NC = (generator.random((IMAGES, CLASSES)) < 0.08).astype(np.int8)
    score_NC = np.round(0.6 * generator.random((IMAGES, CLASSES)) + 0.2 * truth_NC, 4)
    patients = generator.integers(PATIENTS, size=IMAGES).astype(str)
    start = time.process_time()
    bootstrap = PatientBootstrap(patients.tolist(), RESAMPLES, seed=0)
    for number in range(CLASSES):
        auroc_estimate(truth_NC[:, number], score_NC[:, number], bootstrap)
    ours = time.process_time() - start
    start = time.process_time()
    plain_aurocs(truth_NC, score_NC, patients, PLAIN_RESAMPLES)
    plain = (time.process_time() - start) / PLAIN_RESAMPLES * RESAMPLES
    print(f"bootstrap of AUROC, {RESAMPLES} resamples of {IMAGES} images x {CLASSES} classes over patients")
    print(f"  this project               {ours:10.1f} s")
    print(f"  loop over scikit-learn     {plain:10.1f} s ({PLAIN_RESAMPLES} resamples, multiplied)")
    print(f"  ratio                      {plain / ours:10.1f}")


def run(images: int, rounds: int) -> None:
    """Both measurements.

    Raises:
        ValueError: a count is below 1, or params.yaml is wrong.
    """
    if min(images, rounds) < 1:
        raise ValueError("--images and --rounds must be at least 1")
    time_zero_shot(load(), images, rounds)
    time_bootstrap()


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=512, help="images of the zero-shot pass")
    parser.add_argument("--rounds", type=int, default=3, help="passes, of which the best counts")
    arguments = parser.parse_args()
    finish(guarded(lambda: run(arguments.images, arguments.rounds)))


if __name__ == "__main__":
    sys.exit(main())
