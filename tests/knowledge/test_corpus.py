"""What the text encoder may see: training patients, and no word that only few of them have."""

import pytest

from components.core.archives import open_archive
from components.knowledge.corpus import Corpus, read_corpus, sentences_of
from tests.knowledge.conftest import write_archive


def corpus_of(folder, texts: list[str], splits: list[str] | None = None, min_patients: int = 2) -> Corpus:
    given = dict(enumerate(splits or ["train"] * len(texts)))
    inventory = write_archive(folder, dict(enumerate(texts)), given)
    return read_corpus(inventory, open_archive("mimic_cxr", str(folder / "archive")), min_patients)


def test_sentences_end_at_full_stops_headings_and_paragraphs():
    report = "FINDINGS:\nThe heart is\nenlarged. Lungs measure 2.5 cm.\n\nIMPRESSION: Cardiomegaly"
    assert [" ".join(words) for words in sentences_of(report)] == [
        "findings :",
        "the heart is enlarged .",
        "lungs measure 2 . 5 cm .",
        "impression : cardiomegaly",
    ]


def test_word_of_one_patient_becomes_unknown(tmp_path):
    texts = ["Mrs. Zweistein has a gizmo.", "The patient has a gizmo.", "A gizmo is seen.", "Nothing else."]
    corpus = corpus_of(tmp_path, texts)
    assert "gizmo" in corpus.words
    assert "zweistein" not in corpus.words
    everything = " ".join(corpus.sentences + corpus.held_out)
    assert "gizmo" in everything
    assert "zweistein" not in everything
    assert "[UNK]" in everything


def test_names_and_numbers_that_stand_in_every_report_become_unknown(tmp_path):
    signed = "There is a gizmo of 2 cm. Seen by Dr. Muellerstein, ZZHOSPITAL, phone 08954321, on 12 Thermidor."
    corpus = corpus_of(tmp_path, [signed] * 6)
    assert {"gizmo", "2", "12", "."} <= set(corpus.words)
    everything = {word for text in corpus.sentences + corpus.held_out for word in text.split()} | set(corpus.words)
    assert not {"muellerstein", "zzhospital", "08954321", "thermidor"} & everything


def test_a_word_counts_once_a_patient(tmp_path):
    texts = ["Gizmo gizmo gizmo seen. Gizmo again.", "Nothing to see.", "Nothing to see here."]
    assert "gizmo" not in corpus_of(tmp_path, texts).words


def test_words_of_definitions_are_always_known(tmp_path):
    corpus = corpus_of(tmp_path, ["Nothing.", "Nothing at all."], min_patients=1000)
    assert {"meniscus", "hilar", "picc"} <= set(corpus.words)


def test_other_splits_are_never_read(tmp_path):
    texts = ["A widget is seen."] * 3 + ["A gadget is seen."] * 3 + ["A doohickey is seen."] * 3
    corpus = corpus_of(tmp_path, texts, ["train"] * 3 + ["validate"] * 3 + ["test"] * 3)
    assert corpus.patients == 3
    assert "widget" in corpus.words
    assert not {"gadget", "doohickey"} & set(corpus.words)


def test_held_out_sentences_are_of_other_patients_and_others(tmp_path):
    texts = [f"Common words are here. A number {'abcdefghijklmnopqrst'[patient]} is seen." for patient in range(20)]
    corpus = corpus_of(tmp_path, texts, min_patients=1)
    assert "a number a is seen ." in corpus.held_out
    assert "a number k is seen ." in corpus.held_out
    assert "a number b is seen ." in corpus.sentences
    assert not set(corpus.held_out) & set(corpus.sentences)


def test_a_vanished_report_is_told_by_pseudonym(tmp_path):
    inventory = write_archive(tmp_path, {0: "A.", 1: "B."}, {0: "train", 1: "train"})
    archive = open_archive("mimic_cxr", str(tmp_path / "archive"))
    (tmp_path / "archive" / inventory["report_uri"][1]).unlink()
    with pytest.raises(ValueError, match=f"study {inventory['study_id'][1]} can no longer be read") as failure:
        read_corpus(inventory, archive, 1)
    assert "p10000001" not in str(failure.value)


def test_too_few_training_patients(tmp_path):
    with pytest.raises(ValueError, match="1 training patients have a report"):
        corpus_of(tmp_path, ["One.", "Two."], ["train", "test"])
