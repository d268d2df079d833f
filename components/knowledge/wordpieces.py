"""A WordPiece vocabulary learned from word counts, the same in every process.

The trainers of the tokenizers library visit words in hash order, so that ties fall otherwise each time and equal input
gives other pieces. Here ties are settled by the alphabet. The tokenizer that uses the pieces is the library's.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Mapping

from transformers import BertTokenizer

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
MAX_LENGTH = 128

Pair = tuple[str, str]


def _merge(pieces: list[str], pair: Pair) -> list[str]:
    """The pieces of a word with every occurrence of the pair made one."""
    merged: list[str] = []
    for piece in pieces:
        if merged and (merged[-1], piece) == pair:
            merged[-1] += piece.removeprefix("##")
        else:
            merged.append(piece)
    return merged


def learn_pieces(words: Mapping[str, int], size: int) -> list[str]:
    """Learn word pieces by joining, again and again, the commonest neighbours (byte pair encoding over characters).

    Args:
        words: every word with its count.
        size: the vocabulary grows up to it; special tokens and single characters are always in.

    Returns:
        The vocabulary in order: special tokens, characters by the alphabet, joined pieces as they were found. A piece
        inside a word starts with `##`.
    """
    splits = {word: [word[0], *(f"##{character}" for character in word[1:])] for word in words}
    vocabulary = dict.fromkeys([*SPECIAL_TOKENS, *sorted({piece for pieces in splits.values() for piece in pieces})])
    counts: Counter[Pair] = Counter()
    where: defaultdict[Pair, set[str]] = defaultdict(set)

    def count(word: str, sign: int) -> set[Pair]:
        pairs = list(zip(splits[word], splits[word][1:], strict=False))
        for pair in pairs:
            counts[pair] += sign * words[word]
            where[pair].add(word)
        return set(pairs)

    for word in words:
        count(word, 1)
    heap = [(-number, pair) for pair, number in counts.items()]
    heapq.heapify(heap)
    while heap and len(vocabulary) < size:
        number, pair = heapq.heappop(heap)
        if -number != counts[pair]:
            continue  # outdated: the pair was pushed again when its count changed
        vocabulary[pair[0] + pair[1].removeprefix("##")] = None
        changed: set[Pair] = set()
        for word in where.pop(pair):
            changed |= count(word, -1)
            splits[word] = _merge(splits[word], pair)
            changed |= count(word, 1)
        for other in changed:
            if counts[other] > 0:
                heapq.heappush(heap, (-counts[other], other))
    return list(vocabulary)


def make_tokenizer(pieces: list[str]) -> BertTokenizer:
    """BERT's tokenizer (lower case, no accents) over a vocabulary of `learn_pieces`."""
    return BertTokenizer(
        vocab={piece: index for index, piece in enumerate(pieces)}, strip_accents=True, model_max_length=MAX_LENGTH
    )
