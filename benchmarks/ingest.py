"""Ingest against the plain way and against the codec alone, side by side in one run: `make benchmark-ingest`.

The plain way is pydicom's `pixel_array`, `apply_voi_lut` and Pillow, with the decoders that pydicom's guide names:
GDCM, which pydicom takes first where it is installed, or pylibjpeg. Ours and the codec alone run with the memory
settings of ingest's processes. Times are CPU seconds of one process a way, medians of rounds in which the ways take
turns. Two processes are compared with one by the clock, beside what two that only hash gain on this machine in the same
rounds.
"""

import argparse
import hashlib
import io
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import cv2
import imagecodecs
import numpy as np
import pydicom
from PIL import Image
from pydicom import uid
from pydicom.encaps import get_frame
from pydicom.pixels import apply_voi_lut

from components.core.archives.source import content_version
from components.core.dicom import render
from components.core.dicom.codecs import CODECS
from components.core.params import Dataset, Ingest
from components.core.records.image_store import ImageStore
from components.core.records.shards import ShardWriter
from components.ingest.images import Renderer, Row, Task, store_of
from components.ingest.memory import keep_freed_memory
from components.ingest.parallel import render_rows
from tests.dicom_files import chest, radiograph

SIDE = 256
PERCENTILES = (0.5, 99.5)
SYNTAXES = (
    uid.ExplicitVRLittleEndian, uid.JPEGLosslessSV1, uid.JPEGLSLossless, uid.JPEG2000Lossless, uid.RLELossless,
)  # fmt: skip
REPEATS = 2  # objects in a row
NOISE = 0.002  # JPEG-LS then takes 5.5 bits a pixel; radiographs of 10 and 15 bits take 2.2 and 9.3
WINDOW = {"WindowCenter": 2048, "WindowWidth": 3500}
Way = Callable[[bytes], Any]


def plain(plugin: str) -> Way:
    """The plain way with one of pydicom's own plugins."""

    def way(content: bytes) -> np.ndarray:
        dataset = pydicom.dcmread(io.BytesIO(content))
        compressed = dataset.file_meta.TransferSyntaxUID.is_encapsulated
        dataset.pixel_array_options(decoding_plugin=plugin if compressed else "")
        grey = apply_voi_lut(dataset.pixel_array, dataset)
        low, high = grey.min(), grey.max()
        image = Image.fromarray(((grey - low) / (high - low) * 255).astype(np.uint8))
        scale = SIDE / max(image.size)
        return np.asarray(image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BOX))

    return way


def ours(content: bytes) -> np.ndarray:
    """What ingest does with an object's bytes."""
    return render(content, SIDE, 0, PERCENTILES).image_SS


def codec_alone(content: bytes) -> Way:
    """The codec on the compressed frame and nothing else; for uncompressed pixels one copy of them."""
    dataset = pydicom.dcmread(io.BytesIO(content))
    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_encapsulated:
        return lambda _: np.frombuffer(dataset.PixelData, np.uint16).copy()
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    if syntax == uid.RLELossless:
        return lambda _: imagecodecs.dicomrle_decode(frame, "<u2")
    return lambda _: CODECS[syntax](frame)


def serve(connection: Connection, name: str, content: bytes) -> None:
    """A process of one way: told to, it works on the object some times and tells the CPU seconds of one, or nan."""
    cv2.setNumThreads(1)
    if name in ("ours", "codec"):
        keep_freed_memory()  # as the processes of ingest do; a plain script would not
    way = {"ours": lambda: ours, "codec": lambda: codec_alone(content)}.get(name, lambda: plain(name))()
    while connection.recv():
        begun = time.process_time()
        try:
            for _ in range(REPEATS):
                way(content)
            connection.send((time.process_time() - begun) / REPEATS)
        except (RuntimeError, ValueError):  # no such plugin for this transfer syntax
            connection.send(float("nan"))


def seconds_of(ways: Sequence[str], content: bytes, rounds: int) -> dict[str, float]:
    """The median CPU seconds of each way. Each has a process of its own, and they take turns."""
    context = multiprocessing.get_context("spawn")
    taken: dict[str, list[float]] = {name: [] for name in ways}
    ends = {}
    for name in ways:
        ends[name], theirs = context.Pipe()
        context.Process(target=serve, args=(theirs, name, content), daemon=True).start()
    for _ in range(rounds):
        for name, end in ends.items():
            end.send(True)
            taken[name].append(end.recv())
    for end in ends.values():
        end.send(False)
    return {name: statistics.median(times) for name, times in taken.items()}


def pixel_path(rounds: int) -> None:
    """Print images a second and core by transfer syntax."""
    print(f"\nPixel path: 3000 x 2500, 12 of 16 bits, to {SIDE} px; images/s/core")
    print(f"{'':24}{'plain, pylibjpeg':>18}{'plain, gdcm':>14}{'ours':>8}{'codec alone':>13}", end="")
    print(f"{'over pylibjpeg':>16}{'over gdcm':>11}{'time over codec':>17}")
    for syntax in SYNTAXES:
        content = radiograph(chest(3000, 2500, noise=NOISE), syntax=syntax, **WINDOW)
        taken = seconds_of(("pylibjpeg", "gdcm", "ours", "codec"), content, rounds)
        print(f"{syntax.keyword:24}{1 / taken['pylibjpeg']:18.1f}{1 / taken['gdcm']:14.1f}", end="")
        print(f"{1 / taken['ours']:8.1f}{1 / taken['codec']:13.1f}{taken['pylibjpeg'] / taken['ours']:15.1f}x", end="")
        print(f"{taken['gdcm'] / taken['ours']:10.1f}x{taken['ours'] / taken['codec']:16.2f}x", flush=True)


def listed(folder: Path, count: int, syntax: uid.UID) -> list[Row]:
    """Objects in a folder, as rows of an inventory."""
    rows = []
    for number in range(count):
        content = radiograph(chest(3000, 2500, seed=number, noise=NOISE), syntax=syntax, **WINDOW)
        (folder / f"{number}.dcm").write_bytes(content)
        rows.append(
            {"uri": f"{number}.dcm", "bytes": len(content), "version": content_version(content), "problem": None}
        )
    return rows


def whole_plain(folder: Path, rows: list[Row], out: Path) -> None:
    """Read, hash, decode the plain way, write a file an image."""
    way = plain("pylibjpeg")
    for row in rows:
        content = (folder / row["uri"]).read_bytes()
        assert content_version(content) == row["version"]
        np.save(out / f"{hashlib.sha256(content).hexdigest()}.npy", way(content))


def whole_ours(rows: list[Row], task: Task, store: ImageStore, out: Path) -> None:
    """Read, hash, decode, keep in the store, write a shard."""
    renderer = Renderer(task)
    for row in rows:
        store.put(task.entry_name(row), renderer.render(row, renderer.read(row)))
    with ShardWriter(out, SIDE, len(rows)) as writer:
        for row in rows:
            entry = store.get(task.entry_name(row))
            assert entry is not None
            assert entry.image_SS is not None
            writer.add(entry.image_SS)


def hash_a_while(_: int) -> None:
    """Something that takes a core and nothing else."""
    block = bytes(15_000_000)
    for _ in range(60):
        hashlib.sha256(block).digest()


def hashing_gain() -> float:
    """How much more two processes get done than one on this machine, now."""
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.map(hash_a_while, (0, 1), chunksize=1)  # both have started
        begun = time.monotonic()
        pool.map(hash_a_while, (0,))
        between = time.monotonic()
        pool.map(hash_a_while, (0, 1), chunksize=1)
        return 2 * (between - begun) / (time.monotonic() - between)


def end_to_end(rounds: int) -> None:
    """Print the whole way of one process, and two processes against one."""
    print("\nEnd to end, with reading, hashing and writing; images/s/core, and processes by the clock")
    print(f"{'':24}{'plain, pylibjpeg':>18}{'ours':>8}{'ratio':>8}{'two processes over one':>24}{'hashing':>9}")
    for syntax in SYNTAXES[:3]:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            rows = listed(folder, 8, syntax)
            settings = Ingest(size=SIDE, window=0, percentiles=PERCENTILES, allow=())
            task = Task("benchmark", Dataset(layout="folder", root=str(folder)), settings, folder / "state")
            ways = {
                "plain": partial(whole_plain, folder, rows, folder),
                "ours": partial(whole_ours, rows, task, store_of(task), folder),
            }
            taken: dict[str, list[float]] = {name: [] for name in ways}
            rates: dict[int, list[float]] = {1: [], 2: []}
            gains: list[float] = []
            for _ in range(rounds):
                for name, run in ways.items():
                    begun = time.process_time()
                    run()
                    taken[name].append(time.process_time() - begun)
                gains.append(hashing_gain())
                for workers in rates:
                    times = [time.monotonic() for _ in render_rows(rows * 4, task, workers)]
                    rates[workers].append((len(times) - workers) / (times[-1] - times[workers - 1]))
            plain_s, ours_s = (statistics.median(taken[name]) / len(rows) for name in ("plain", "ours"))
            both = statistics.median(rates[2]) / statistics.median(rates[1])
            print(
                f"{syntax.keyword:24}{1 / plain_s:18.1f}{1 / ours_s:8.1f}{plain_s / ours_s:7.1f}x{both:23.2f}x", end=""
            )
            print(f"{statistics.median(gains):8.2f}x", flush=True)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of the pixel path (5)")
    rounds = parser.parse_args().rounds
    cv2.setNumThreads(1)
    print(f"pydicom {pydicom.__version__}, imagecodecs {imagecodecs.__version__}, OpenCV {cv2.__version__}, "
          f"numpy {np.__version__}, Python {sys.version.split()[0]}")  # fmt: skip
    pixel_path(rounds)
    end_to_end(max(1, rounds // 2))


if __name__ == "__main__":
    main()
