"""A text encoder: any BERT of the transformers library, given by its folder or its name on the Hugging Face hub."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor
from transformers import AutoModel, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging

TEXTS_AT_ONCE = 32


@dataclass(frozen=True)
class TextEncoder:
    """A BERT and its tokenizer."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase

    @torch.inference_mode()
    def encode(self, texts: Sequence[str]) -> Tensor:
        """The final [CLS] state of each text, float32 [n, T], as the paper takes it (arXiv 2403.10635, section 3.1)."""
        self.model.eval()
        limit = min(self.tokenizer.model_max_length, self.model.config.max_position_embeddings)
        states = []
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            chunk = list(texts[start : start + TEXTS_AT_ONCE])
            tokens = self.tokenizer(chunk, padding=True, truncation=True, max_length=limit, return_tensors="pt")
            states.append(self.model(**tokens).last_hidden_state[:, 0].float())
        return torch.cat(states)

    def save(self, folder: Path) -> None:
        """Write as a folder that AutoModel and AutoTokenizer read."""
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)


def load_encoder(name: str) -> TextEncoder:
    """Load the encoder of a folder, without network, or of a hub name.

    Raises:
        ValueError: it cannot be read or reached, lacks weights, has no [CLS] token, or its tokenizer is another
            model's.
    """
    local = Path(name).is_dir()
    logging.disable_progress_bar()
    logging.set_verbosity_error()  # what is missing is told below, in a sentence
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, local_files_only=local)
        model, loading = AutoModel.from_pretrained(
            name, local_files_only=local, dtype=torch.float32, output_loading_info=True
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        where = "the folder holds no encoder that can be read" if local else "no such folder, nor a model within reach"
        reason = " ".join(str(error).split())[:300]
        raise ValueError(f"the text encoder {name}: {where} ({reason})") from None
    missing = sorted(key for key in loading["missing_keys"] if not key.startswith("pooler."))
    if missing:
        raise ValueError(f"the text encoder {name} lacks {len(missing)} weights, the first is {missing[0]}")
    if tokenizer.cls_token_id is None:
        raise ValueError(f"the text encoder {name} has no [CLS] token: it must be a BERT")
    if len(tokenizer) > model.config.vocab_size:
        raise ValueError(
            f"the text encoder {name} has a tokenizer of {len(tokenizer)} pieces "
            f"and a model for {model.config.vocab_size}"
        )
    return TextEncoder(model, tokenizer)
