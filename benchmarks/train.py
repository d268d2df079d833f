"""What a pretraining step and its input cost, against how the published code is written; ratios of one run.

On a CPU every form runs on one core, each in a process of its own, so that its peak memory is its own.
"""

import argparse
import io
import multiprocessing
import platform
import resource
import signal
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from components.core.augmentation import draw
from components.core.command import finish, guarded
from components.core.model import Config, MedSLIP, Mends
from components.core.model.losses import (
    compute_losses,
    draw_negatives,
    existence_loss,
    existence_targets,
    relation_loss,
)
from components.core.params import Augmentation, Model, Trunk
from components.core.vocabulary import ANATOMIES, PATHOLOGIES

NEGATIVES, TEXT_WIDTH = 7, 768
ENOUGH_SECONDS, MOST_SECONDS = 60.0, 300.0  # of a form: after so long no further step, after so long the end
PRESENT, ABSENT = 0.001, 0.004  # shares of a study's cells, as reports fill them
NO_BF16 = "no bf16 instructions: bf16 gains little here"
PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12}  # bf16 operations a second, without sparsity, by the maker
PUBLISHED, CONTRACTED = "prototypes built, loops", "contracted (ours)"
PUBLISHED_FORM, PLAIN_FORM = f"{PUBLISHED}, float32", f"{CONTRACTED}, float32"
FAST_FORM, TRUNK_FORM = f"{CONTRACTED}, channels last + bf16", "the trunk alone, channels last + bf16"


@dataclass(frozen=True)
class Sizes:
    """What is measured: the published sizes, or small ones that only show that all of it runs."""

    trunk: Trunk
    width: int
    layers: int
    side: int
    batch: int
    steps: int
    source: tuple[int, int]

    def model(self) -> MedSLIP:
        """The published form with these sizes."""
        torch.manual_seed(0)
        sizes = Model(trunk=self.trunk, width=self.width, decoder_layers=self.layers, heads=4, dropout=0.1)
        books = (torch.randn(len(terms), TEXT_WIDTH) for terms in (PATHOLOGIES, ANATOMIES))
        config = Config(image_size=self.side, text_width=TEXT_WIDTH, model=sizes, mends=Mends())
        return MedSLIP(config, *books).train()

    def batch_of(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Images and labels as sparse as those of reports."""
        generator = torch.Generator().manual_seed(1)
        images = torch.randint(0, 256, (self.batch, 1, self.side, self.side), dtype=torch.uint8, generator=generator)
        drawn = torch.rand(self.batch, len(ANATOMIES), len(PATHOLOGIES), generator=generator)
        labels = (drawn < PRESENT + ABSENT).to(torch.int8) + (drawn < PRESENT).to(torch.int8) - 1
        return images.to(device), labels.to(device)


FULL = Sizes(
    trunk=Trunk(depths=(3, 4, 6), hidden_sizes=(256, 512, 1024), embedding_size=64, layer_type="bottleneck"),
    width=256, layers=4, side=224, batch=64, steps=2, source=(3000, 2500),
)  # fmt: skip
QUICK = Sizes(
    trunk=Trunk(depths=(1, 1, 1), hidden_sizes=(16, 16, 16), embedding_size=8, layer_type="basic"),
    width=16, layers=1, side=32, batch=2, steps=1, source=(300, 250),
)  # fmt: skip


def repeated(book_KT: Tensor, present_BQK: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The labels along the width of the text, the book for every study and query, their product: [B, K, Q, T] each.

    The labels are float64, as the published preprocessing makes them.
    """
    labels_BKQT = present_BQK.transpose(1, 2).double().unsqueeze(-1).repeat(1, 1, 1, book_KT.shape[1])
    books_BKQT = book_KT[None, :, None].repeat(len(present_BQK), 1, present_BQK.shape[1], 1)
    return labels_BKQT, books_BKQT, labels_BKQT * books_BKQT


def built_prototypes(
    z_BQD: Tensor, project: torch.nn.Linear, book_KT: Tensor, present_BQK: Tensor, chosen_BKQT: Tensor
) -> Tensor:
    """ProtoCL as the published code goes about it: a Python loop looks into every study and query for a positive."""
    negatives_BQMT = book_KT[draw_negatives(present_BQK, NEGATIVES)]
    choices_BQCT = torch.cat([torch.zeros_like(negatives_BQMT[:, :, :1]), negatives_BQMT], 2)
    chosen_BQKT = chosen_BKQT.transpose(1, 2)
    for study in range(len(chosen_BQKT)):
        for query in range(chosen_BQKT.shape[1]):
            chosen_KT = chosen_BQKT[study, query]
            if (chosen_KT != 0).sum() > 0:
                positives = len(chosen_KT.nonzero(as_tuple=True)[0].unique())
                choices_BQCT[study, query, 0] = chosen_KT.sum(0) / positives
    logits_BQC = (choices_BQCT @ project(z_BQD).unsqueeze(-1)).squeeze(-1)
    terms = (logits_BQC.logsumexp(-1) - logits_BQC[..., 0])[present_BQK.any(-1)]
    return terms.mean() if len(terms) else z_BQD.sum() * 0


def published_total(model: MedSLIP, images: Tensor, labels: Tensor) -> Tensor:
    """The published loss with prototypes that are built; what is repeated for one stream stays until both are done."""
    outputs, (targets_BP, targets_BA) = model(images), existence_targets(labels)
    present_BAP = labels == 1
    present_BPA = present_BAP.transpose(1, 2)
    for_p, for_a = repeated(model.book_a_AT, present_BPA), repeated(model.book_p_PT, present_BAP)
    return (
        existence_loss(outputs.existence_p_BP2, targets_BP)
        + existence_loss(outputs.existence_a_BA2, targets_BA)
        + built_prototypes(outputs.z_p_BPD, model.contrast_p, model.book_a_AT, present_BPA, for_p[-1])
        + built_prototypes(outputs.z_a_BAD, model.contrast_a, model.book_p_PT, present_BAP, for_a[-1])
        + relation_loss(outputs.relation_BAP, labels)
    )


def contracted_total(model: MedSLIP, images: Tensor, labels: Tensor) -> Tensor:
    """The same loss as it is trained with."""
    return compute_losses(model(images), labels, NEGATIVES).total(1.0, 1.0)


def trunk_total(model: MedSLIP, images: Tensor, labels: Tensor) -> Tensor:
    """The trunk alone: no step can be faster."""
    return model.trunk(images).float().mean()


Form = tuple[Callable[[MedSLIP, Tensor, Tensor], Tensor], bool, bool]
FORMS: dict[str, Form] = {  # its loss, channels last, bfloat16
    PUBLISHED_FORM: (published_total, False, False),
    PLAIN_FORM: (contracted_total, False, False),
    f"{CONTRACTED}, channels last": (contracted_total, True, False),
    f"{CONTRACTED}, bf16": (contracted_total, False, True),
    FAST_FORM: (contracted_total, True, True),
    TRUNK_FORM: (trunk_total, True, True),
}


class Cost(NamedTuple):
    """Seconds a step (median, after one step to warm up) and peak memory in GB."""

    seconds: float
    memory: float


def measure(sizes: Sizes, name: str, device: torch.device) -> Cost:
    """What a step of a form costs.

    A form that is slow beyond use, as bf16 is where it is emulated, is measured by its first step.
    """
    total_of, channels_last, half = FORMS[name]
    model = sizes.model().to(device, memory_format=torch.channels_last if channels_last else torch.contiguous_format)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-5)
    images, labels = sizes.batch_of(device)
    seconds: list[float] = []
    while len(seconds) < 1 + sizes.steps and sum(seconds) < ENOUGH_SECONDS:
        begun = time.perf_counter()
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            total = total_of(model, images, labels)
        total.backward()
        optimiser.step()
        optimiser.zero_grad()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - begun)
    median = statistics.median(seconds[1:] or seconds)
    if device.type == "cuda":
        return Cost(median, torch.cuda.max_memory_allocated() / 1e9)
    return Cost(median, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9)


def _alone(sizes: Sizes, name: str, device: str, answer: Any) -> None:
    torch.set_num_threads(1)
    try:
        answer.put(measure(sizes, name, torch.device(device)))
    except RuntimeError as error:  # a CPU's allocator has no error of its own
        if not isinstance(error, torch.OutOfMemoryError) and "allocate" not in str(error):
            raise
        answer.put(None)


def in_own_process(sizes: Sizes, name: str, device: torch.device) -> Cost:
    """`measure` in a new process.

    Raises:
        ValueError: memory does not suffice, or it took too long.
        RuntimeError: it ended without an answer.
    """
    context = multiprocessing.get_context("spawn")
    answer = context.SimpleQueue()
    process = context.Process(target=_alone, args=(sizes, name, device.type, answer))
    process.start()
    process.join(MOST_SECONDS)
    if process.is_alive():
        process.kill()
        process.join()
        raise ValueError(f"{name} took more than {MOST_SECONDS:.0f} s: lower the batch with --batch")
    told = answer.get() if process.exitcode == 0 else None
    if process.exitcode not in (0, -signal.SIGKILL):  # which the system sends where memory runs out
        raise RuntimeError(f"{name} ended with {process.exitcode}")
    if told is None:
        raise ValueError(f"memory does not hold {name} with {sizes.batch} images: lower the batch with --batch")
    return Cost(*told)


def jpeg_way(file: bytes, side: int, generator: np.random.Generator) -> npt.NDArray[np.uint8]:
    """The published input: decode, random resized crop, and two operations of RandAugment's kind."""
    image = Image.open(io.BytesIO(file)).convert("RGB")
    width, height = image.size
    share = generator.uniform(0.2, 1) ** 0.5
    left, top = generator.uniform(0, 1 - share) * width, generator.uniform(0, 1 - share) * height
    box = (left, top, left + share * width, top + share * height)
    image = image.resize((side, side), Image.Resampling.BICUBIC, box=box)
    if generator.random() < 0.5:
        image = ImageOps.mirror(image)
    image = image.rotate(generator.uniform(-10, 10))
    return np.asarray(ImageEnhance.Contrast(image).enhance(generator.uniform(0.7, 1.3)))


def input_rates(sizes: Sizes, seconds: float) -> dict[str, float]:
    """Images a second and core by each way."""
    cv2.setNumThreads(0)
    generator = np.random.default_rng(0)
    large = cv2.resize(generator.integers(0, 256, (64, 64), np.uint8), sizes.source[::-1])
    encoded = io.BytesIO()
    Image.fromarray(large).save(encoded, "JPEG", quality=95)
    settings = Augmentation(engine="cv2", min_area=0.2, flip=0.5, rotation_degrees=7.0, contrast=0.3)
    ways: dict[str, Callable[[], object]] = {
        f"JPEG of {sizes.source[0]} x {sizes.source[1]}, PIL": lambda: jpeg_way(
            encoded.getvalue(), sizes.side, generator
        )
    }
    for side in (256, 512):
        shard = generator.integers(0, 256, (64, side, side), np.uint8)
        ways[f"{side} px shard, one affine map"] = lambda shard=shard: draw(settings, generator).apply(
            shard[int(generator.integers(64))], sizes.side
        )
    return {name: _rate(way, seconds) for name, way in ways.items()}


def _rate(way: Callable[[], object], seconds: float) -> float:
    count, begun = 0, time.perf_counter()
    while (passed := time.perf_counter() - begun) < seconds:
        way()
        count += 1
    return count / passed


def bf16_instructions() -> list[str]:
    """Those that this CPU has."""
    with open("/proc/cpuinfo", encoding="ascii") as file:
        flags = set(next(line for line in file if line.startswith("flags")).split())
    return [name for name in ("avx512_bf16", "amx_bf16") if name in flags]


def machine(device: torch.device) -> str:
    """What computes, with what it can do that matters here."""
    if device.type == "cuda":
        return torch.cuda.get_device_name()
    return f"{platform.machine()}, one core, {' and '.join(bf16_instructions()) or NO_BF16}"


def print_steps(sizes: Sizes, device: torch.device) -> dict[str, Cost]:
    """Measure and print every form."""
    costs: dict[str, Cost] = {}
    for number, name in enumerate(FORMS, start=1):
        print(f"{number} of {len(FORMS)}, at most {MOST_SECONDS:.0f} s: {name}", file=sys.stderr, flush=True)
        costs[name] = in_own_process(sizes, name, device)
    first = costs[PUBLISHED_FORM]
    print(f"| batch {sizes.batch}, {sizes.side} px | s a step | images/s | times as fast | peak GB | of the first |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, (seconds, memory) in costs.items():
        print(
            f"| {name} | {seconds:.2f} | {sizes.batch / seconds:.1f} | {first.seconds / seconds:.2f} | {memory:.2f} "
            f"| {memory / first.memory:.2f} |"
        )
    return costs


def goals(costs: dict[str, Cost], rates: dict[str, float], device: torch.device) -> dict[str, tuple[float, float]]:
    """What is wanted of this machine, each as the ratio wanted at least and the one measured."""
    first, plain, fast = costs[PUBLISHED_FORM], costs[PLAIN_FORM], costs[FAST_FORM]
    jpeg, shard = list(rates.values())[:2]
    shared = {
        f"memory of {PUBLISHED}, against ours": (2.0, first.memory / plain.memory),
        f"input: images/s of {list(rates)[1]}, against JPEG and PIL": (100.0, shard / jpeg),
    }
    if device.type == "cuda":
        trunk = costs[TRUNK_FORM].seconds / fast.seconds
        return {"rate of the step at a batch of 256, against the trunk's alone": (0.8, trunk), **shared}
    doubt = "" if bf16_instructions() else f" ({NO_BF16})"
    return {
        "speed of the step, float32": (1.5, first.seconds / plain.seconds),
        f"speed of the step, channels last + bf16{doubt}": (3.5, first.seconds / fast.seconds),
        **shared,
    }


def print_goals(wanted_and_measured: dict[str, tuple[float, float]]) -> None:
    """Whether each was reached."""
    print("\n| goal | wanted at least | measured | reached |\n| --- | --- | --- | --- |")
    for name, (wanted, measured) in wanted_and_measured.items():
        print(f"| {name} | {wanted:g} | {measured:.3g} | {'yes' if measured >= wanted else 'no'} |")


def print_gpu(sizes: Sizes, seconds: float, device: torch.device) -> None:
    """How near the fast form, by its seconds a step, comes to what the GPU could do."""
    images, labels = sizes.batch_of(device)
    model = sizes.model().to(device)
    with FlopCounterMode(display=False) as counter:
        contracted_total(model, images, labels).backward()
    peak = next((value for name, value in PEAKS.items() if name in torch.cuda.get_device_name()), None)
    rate = counter.get_total_flops() / seconds
    print(f"\n{rate / 1e12:.0f} TFLOP/s" + (f", MFU {rate / peak:.2f}" if peak else ", MFU unknown: no peak is listed"))


def run(sizes: Sizes) -> None:
    """Measure and print the tables.

    Raises:
        ValueError: memory does not hold the batch, or a form took too long.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    print(f"{machine(device)}; torch {torch.__version__}; {datetime.now(UTC):%Y-%m-%d}\n")
    costs = print_steps(sizes, device)
    fast = costs[FAST_FORM].seconds
    if device.type == "cuda":
        print_gpu(sizes, fast, device)
    rates = input_rates(sizes, 0.2 if sizes is QUICK else 4.0)
    plain, ours = list(rates.values())[:2]
    print("\n| input | images/s a core | times as fast |\n| --- | --- | --- |")
    for name, rate in rates.items():
        print(f"| {name} | {rate:.0f} | {rate / plain:.0f} |")
    waiting = (sizes.batch / ours) / (sizes.batch / ours + fast)
    print(f"\nshare of a step that waits for input read in its own process: {waiting:.2%}")
    print_goals(goals(costs, rates, device))


def main() -> None:
    """`python -m benchmarks.train`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.train", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, only to see that all of it runs")
    parser.add_argument("--batch", type=int, help="images a step: 64, as published, on a CPU, 256 on a GPU")
    arguments = parser.parse_args()
    sizes = QUICK if arguments.quick else FULL
    batch = arguments.batch or (256 if torch.cuda.is_available() and not arguments.quick else sizes.batch)
    finish(guarded(lambda: run(sizes if batch == sizes.batch else replace(sizes, batch=batch))))


if __name__ == "__main__":
    main()
