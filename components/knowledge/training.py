"""Training of a small BERT: it fills in masked words, and learns to tell texts apart by their [CLS] state.

Two losses of equal weight:
- masked tokens (Devlin et al., 2019) over sentences of reports and the vocabulary's own texts;
- InfoNCE between the [CLS] states of a term's text in the book and of its name, with the batch's other terms as
  negatives (SimCSE, Gao et al., 2021, with pairs). Without it the states of a small BERT are all but equal. Anatomies'
  prompts are short, and many differ in one word: all of them are in every batch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from transformers import BertConfig, BertForMaskedLM, BertTokenizer, DataCollatorForLanguageModeling

from components.core.params import TextTraining
from components.core.text.encoder import TextEncoder
from components.core.vocabulary import ANATOMIES, ANATOMY_PROMPT, DEFINITIONS, DISPLAY, PATHOLOGIES
from components.knowledge.corpus import Corpus, vocabulary_texts
from components.knowledge.wordpieces import MAX_LENGTH, learn_pieces, make_tokenizer

HEAD_WIDTH = 32
MASKED_SHARE = 0.15
TEMPERATURE = 0.07
WARMUP_SHARE = 0.1
WEIGHT_DECAY = 0.01
MEASURED_SENTENCES = 1024


@dataclass(frozen=True)
class Trained:
    """A trained encoder, and the loss on held-out sentences before and after, in nats a masked word piece."""

    encoder: TextEncoder
    loss_before: float | None
    loss_after: float | None


def info_nce(states_BT: Tensor, others_BT: Tensor) -> Tensor:
    """InfoNCE over cosines between two views of the same texts, both ways (van den Oord et al., 2018)."""
    cosines_BB = functional.normalize(states_BT, dim=-1) @ functional.normalize(others_BT, dim=-1).T / TEMPERATURE
    target_B = torch.arange(len(cosines_BB))
    return (functional.cross_entropy(cosines_BB, target_B) + functional.cross_entropy(cosines_BB.T, target_B)) / 2


def make_model(pieces: int, training: TextTraining, padding: int) -> BertForMaskedLM:
    """A BERT of the given sizes with weights from the current random state."""
    return BertForMaskedLM(
        BertConfig(
            vocab_size=pieces,
            hidden_size=training.width,
            num_hidden_layers=training.layers,
            num_attention_heads=training.width // HEAD_WIDTH,
            intermediate_size=4 * training.width,
            max_position_embeddings=MAX_LENGTH,
            initializer_range=training.width**-0.5,  # the usual 0.02 suits 768: here all states would start out equal
            pad_token_id=padding,
        )
    )


class _Texts:
    """Texts as token ids, cut into batches."""

    def __init__(self, texts: Sequence[str], tokenizer: BertTokenizer) -> None:
        self.tokenizer = tokenizer
        encoded = tokenizer(list(texts), truncation=True, return_special_tokens_mask=True) if texts else {}
        self.items = [{key: encoded[key][row] for key in encoded} for row in range(len(texts))]

    def __len__(self) -> int:
        return len(self.items)

    def masked(self, rows: Sequence[int], seed: int) -> tuple[dict[str, Tensor], Tensor]:
        """The batch with words masked, and the targets [B, L]: -100 where nothing is asked."""
        collate = DataCollatorForLanguageModeling(self.tokenizer, mlm_probability=MASKED_SHARE, seed=seed)
        batch = collate([self.items[row] for row in rows])
        return {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}, batch["labels"]

    def plain(self, rows: Sequence[int]) -> dict[str, Tensor]:
        """The batch as it is."""
        chosen = [{key: self.items[row][key] for key in ("input_ids", "attention_mask")} for row in rows]
        return dict(self.tokenizer.pad(chosen, return_tensors="pt"))


class _Terms:
    """The terms of one list in two texts: the one that enters the book, and the name."""

    def __init__(self, texts: Mapping[str, str], tokenizer: BertTokenizer) -> None:
        self.texts = _Texts(list(texts.values()), tokenizer)
        self.names = _Texts([DISPLAY[name] for name in texts], tokenizer)

    def loss(self, model: BertForMaskedLM, number: int, order: torch.Generator) -> Tensor:
        """InfoNCE of so many terms, drawn without replacement."""
        rows = torch.randperm(len(self.texts), generator=order)[:number].tolist()
        states = (model.bert(**texts.plain(rows)).last_hidden_state[:, 0] for texts in (self.texts, self.names))
        return info_nce(*states)


def masked_words_loss(model: BertForMaskedLM, masked: dict[str, Tensor], labels_BL: Tensor) -> tuple[Tensor, int]:
    """The cross-entropy of the masked words, summed, and how many they are; only their logits are computed."""
    asked_BL = labels_BL >= 0
    logits_NV = model.cls(model.bert(**masked).last_hidden_state[asked_BL])
    return functional.cross_entropy(logits_NV, labels_BL[asked_BL], reduction="sum"), int(asked_BL.sum())


def mean_masked_loss(model: BertForMaskedLM, texts: _Texts, seed: int) -> float | None:
    """Mean cross-entropy of masked words in nats, over at most the first 1,024 texts; None where there is none."""
    model.eval()
    total, asked = 0.0, 0
    with torch.inference_mode():
        for start in range(0, min(len(texts), MEASURED_SENTENCES), 64):
            rows = range(start, min(start + 64, len(texts), MEASURED_SENTENCES))
            loss, number = masked_words_loss(model, *texts.masked(rows, seed + start))
            total, asked = total + float(loss), asked + number
    model.train()
    return total / asked if asked else None


def train(corpus: Corpus, training: TextTraining, seed: int) -> Trained:
    """Train tokenizer and encoder on a corpus; equal corpus, seed and threads give equal weights.

    Call it under `deterministic`, which sets the random state and the threads.
    """
    tokenizer = make_tokenizer(learn_pieces(corpus.words, training.vocabulary))
    model = make_model(len(tokenizer), training, tokenizer.pad_token_id)
    sentences = _Texts((*corpus.sentences, *vocabulary_texts()), tokenizer)
    held_out = _Texts(corpus.held_out, tokenizer)
    pathologies = _Terms({name: DEFINITIONS[name] for name in PATHOLOGIES}, tokenizer)
    anatomies = _Terms({name: ANATOMY_PROMPT.format(name=name) for name in ANATOMIES}, tokenizer)
    optimizer = torch.optim.AdamW(model.parameters(), training.learning_rate, weight_decay=WEIGHT_DECAY, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, training.learning_rate, total_steps=max(training.steps, 2), pct_start=WARMUP_SHARE
    )
    before = mean_masked_loss(model, held_out, seed)
    order = torch.Generator().manual_seed(seed)
    for step in range(training.steps):
        rows = torch.randperm(len(sentences), generator=order)[: training.batch].tolist()
        optimizer.zero_grad()
        loss, asked = masked_words_loss(model, *sentences.masked(rows, seed + step))
        loss = loss / max(asked, 1) + pathologies.loss(model, max(2, training.batch // 2), order)
        (loss + anatomies.loss(model, len(ANATOMIES), order)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    after = mean_masked_loss(model, held_out, seed)
    return Trained(TextEncoder(model.bert, tokenizer), before, after)
