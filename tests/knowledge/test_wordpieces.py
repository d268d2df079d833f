"""Word pieces: the commonest words whole, all others in known parts, whatever order words come in."""

import pytest

from components.knowledge.wordpieces import SPECIAL_TOKENS, learn_pieces, make_tokenizer

WORDS = {"effusion": 50, "effusions": 20, "opacity": 30, "opacities": 30, "opacification": 5, "no": 90, "nodule": 9}


def test_order_of_words_does_not_matter():
    backwards = dict(reversed(WORDS.items()))
    assert learn_pieces(WORDS, 200) == learn_pieces(backwards, 200)


def test_common_words_come_before_rare_ones_and_the_size_is_kept():
    characters = len(learn_pieces(WORDS, 0))
    assert learn_pieces(WORDS, 0)[: len(SPECIAL_TOKENS)] == list(SPECIAL_TOKENS)
    small = learn_pieces(WORDS, characters + 12)
    assert len(small) == characters + 12
    assert "no" in small
    assert "nodule" not in small
    assert set(WORDS) <= set(learn_pieces(WORDS, 1000))


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("No effusion", ["no", "effusion"]),
        ("nodules", ["nodule", "##s"]),
        ("policy", ["[UNK]"]),  # no word that is known has a y
    ],
)
def test_tokenizer_uses_the_pieces(text, pieces):
    words = {word: count for word, count in WORDS.items() if "y" not in word}
    assert make_tokenizer(learn_pieces(words, 1000)).tokenize(text) == pieces


def test_merged_pieces_are_those_of_byte_pair_encoding_by_hand():
    # a a b: the pair (a, ##a) stands 3 times, (##a, ##b) 2 times, (##a, ##c) once.
    assert learn_pieces({"aab": 2, "aac": 1}, 100)[len(SPECIAL_TOKENS) :] == [
        "##a",
        "##b",
        "##c",
        "a",
        "aa",
        "aab",
        "aac",
    ]
