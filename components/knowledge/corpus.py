"""The sentences that the text encoder learns from: training patients' reports, rare words taken out."""

import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache

import pandas as pd
from transformers import BertTokenizer

from components.core.archives import Archive
from components.core.vocabulary import ANATOMIES, ANATOMY_PROMPT, DEFINITIONS, DISPLAY

HELD_OUT_EVERY = 10
UNKNOWN = "[UNK]"

_WORD = re.compile(r"[^\W\d_]+")
_SENTENCE_END = re.compile(r"\n\s*\n|(?<=[.!?])\s+(?=[A-Z0-9])|(?<=:)\s*\n")


@dataclass(frozen=True)
class Corpus:
    """What is left of the reports: unique sentences of known words.

    Attributes:
        sentences: of the patients that the encoder learns from, lower-case, words and signs parted by spaces.
        held_out: of every tenth training patient, kept back to measure the masked-token loss; none that is in
            `sentences` too.
        words: how many patients have each known word; a word of the vocabulary's own texts counts as well.
        patients: how many training patients have a report.
    """

    sentences: tuple[str, ...]
    held_out: tuple[str, ...]
    words: dict[str, int]
    patients: int


@cache
def _splitter() -> BertTokenizer:
    """A tokenizer without vocabulary, for BERT's own lower-casing and parting of words."""
    return BertTokenizer()


def words_of(text: str) -> list[str]:
    """The words and signs of a text as BERT parts them, in lower case and without accents."""
    backend = _splitter().backend_tokenizer
    return [word for word, _ in backend.pre_tokenizer.pre_tokenize_str(backend.normalizer.normalize_str(text))]


def sentences_of(report: str) -> Iterator[list[str]]:
    """The sentences of a report as words; paragraphs and headings end a sentence too."""
    for sentence in _SENTENCE_END.split(report):
        words = words_of(sentence)
        if len(words) > 1:
            yield words


def is_sign(word: str) -> bool:
    """Whether it is punctuation or a number of at most two digits: a day or a centimetre, no date and no telephone."""
    return not word.isalnum() or (word.isdigit() and len(word) <= 2)


def plain_words(report: str) -> set[str]:
    """What a report writes in small letters, and signs.

    Names are written with a capital letter wherever they stand; a word that merely begins a sentence is written in
    small letters elsewhere.
    """
    small = " ".join(sorted({word for word in _WORD.findall(report) if word.islower()}))
    return {*words_of(small), *filter(is_sign, words_of(report))}


def vocabulary_texts() -> tuple[str, ...]:
    """Every text of the vocabulary itself: definitions, display names and prompts. They name no patient."""
    prompts = (ANATOMY_PROMPT.format(name=name) for name in ANATOMIES)
    return (*DEFINITIONS.values(), *DISPLAY.values(), *prompts)


def _read(archive: Archive, uri: str, study_id: str) -> str:
    try:
        return archive.read_text(uri)
    except (OSError, ValueError):
        raise ValueError(
            f"the report of study {study_id} can no longer be read from the archive: run inventory again"
        ) from None


def _known(words: list[str], known: Collection[str]) -> str:
    return " ".join(word if word in known else UNKNOWN for word in words)


def read_corpus(inventory: pd.DataFrame, archive: Archive, min_patients: int) -> Corpus:
    """Read the training patients' reports and keep the words that enough patients have.

    Args:
        inventory: the listing of the archive, columns as in `records.tables.INVENTORY`.
        archive: where the reports lie.
        min_patients: a word that fewer patients have in small letters (see `plain_words`) becomes [UNK], unless the
            vocabulary's own texts use it: neither a patient's name or number, nor that of the physician who signs every
            report, reaches tokenizer or weights.

    Raises:
        ValueError: fewer than two training patients have a report, or a listed report cannot be read any more.
    """
    rows = inventory[(inventory["split"] == "train") & inventory["report_version"].notna()]
    rows = rows.drop_duplicates("study_id").sort_values(["patient_id", "study_id"])
    patients = rows["patient_id"].unique()
    if len(patients) < 2:
        raise ValueError(
            f"{len(patients)} training patients have a report: a text encoder needs at least 2 to learn from"
        )
    counts: Counter[str] = Counter()
    texts: dict[bool, dict[tuple[str, ...], None]] = {True: {}, False: {}}
    for place, (_, studies) in enumerate(rows.groupby("patient_id", sort=True)):
        reports = [
            _read(archive, uri, study_id)
            for uri, study_id in zip(studies["report_uri"], studies["study_id"], strict=True)
        ]
        counts.update(set[str]().union(*map(plain_words, reports)))
        sentences = (tuple(words) for report in reports for words in sentences_of(report))
        texts[place % HELD_OUT_EVERY == 0].update(dict.fromkeys(sentences))
    known = {word: count for word, count in counts.items() if count >= min_patients}
    for word in sorted({word for text in vocabulary_texts() for word in words_of(text)}):
        known[word] = known.get(word, 0) + 1
    learned = dict.fromkeys(_known(list(words), known) for words in texts[False])
    held_out = dict.fromkeys(_known(list(words), known) for words in texts[True])
    return Corpus(tuple(learned), tuple(text for text in held_out if text not in learned), known, len(patients))
