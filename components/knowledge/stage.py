"""The stage: a text encoder, given or trained here, and the books it makes of the vocabulary."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers.utils.logging import disable_progress_bar

from components.core import paths
from components.core.archives import open_archive
from components.core.params import Params
from components.core.records.tables import read_table
from components.core.records.whole import whole_folder
from components.core.text.books import make_books
from components.core.text.encoder import TextEncoder, load_encoder
from components.knowledge.books import books_figures, write_books
from components.knowledge.corpus import read_corpus
from components.knowledge.training import train

TEXT_ENCODER = paths.TEXT_ENCODER.name


@contextmanager
def deterministic(seed: int, threads: int) -> Iterator[None]:
    """Equal seed and threads give equal bytes within; afterwards torch is set as before."""
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(True)
        try:
            yield
        finally:
            torch.set_num_threads(before[0])
            torch.use_deterministic_algorithms(before[1])


def train_on_reports(params: Params) -> tuple[TextEncoder, dict[str, Any]]:
    """Train the small BERT on the reports of the pretraining archive's training patients; with its figures."""
    name, settings = params.pretrain.dataset, params.knowledge
    inventory = read_table(paths.inventory_table(name), "inventory")
    archive = open_archive(params.datasets[name].layout, params.datasets[name].root)
    corpus = read_corpus(inventory, archive, settings.training.min_patients)
    trained = train(corpus, settings.training, settings.seed)
    return trained.encoder, {
        "patients": corpus.patients,
        "sentences": len(corpus.sentences),
        "held_out_sentences": len(corpus.held_out),
        "words": len(corpus.words),
        "masked_token_loss": {"before": trained.loss_before, "after": trained.loss_after},
    }


def describe(encoder: TextEncoder, folder: Path, given: bool) -> dict[str, Any]:
    """What the encoder is, by its content: never where it came from on some machine."""
    weights = hashlib.sha256()
    for file in sorted(folder.glob("*.safetensors")):
        weights.update(file.read_bytes())
    return {
        "source": "given" if given else "trained on the archive's reports",
        "architecture": type(encoder.model).__name__,
        "width": encoder.model.config.hidden_size,
        "layers": encoder.model.config.num_hidden_layers,
        "word_pieces": len(encoder.tokenizer),
        "weights_sha256": weights.hexdigest(),
    }


def run(params: Params, item: str) -> dict[str, Any]:
    """Make or load the text encoder, encode the vocabulary, write `models/knowledge/`; returns the figures.

    Always on the CPU: 126 short texts are nothing, and equal threads give equal bytes there.

    Raises:
        ValueError: the encoder cannot be loaded or cannot tell terms apart, or the archive has too few reports.
    """
    given = params.knowledge.text_encoder
    disable_progress_bar()
    with deterministic(params.knowledge.seed, params.knowledge.threads):
        encoder, figures = train_on_reports(params) if given is None else (load_encoder(given), {})
        books = make_books(encoder)
    with whole_folder(paths.KNOWLEDGE) as folder:
        encoder.save(folder / TEXT_ENCODER)
        described = describe(encoder, folder / TEXT_ENCODER, given is not None)
        write_books(folder, books, described)
    return {**books_figures(books), **figures, "word_pieces": described["word_pieces"]}
