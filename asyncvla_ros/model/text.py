"""Instructions to token ids, with any ``tokenizers`` file: Qwen's own or the small word list of nano."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Whitespace
from torch import Tensor

from asyncvla_ros.types import ContractError

# Their places are the ids that ``nano_config`` names.
SPECIAL = ("<pad>", "<unk>", "<image>", "<video>", "<vision_start>", "<vision_end>")


@dataclass(frozen=True)
class Words:
    """Token ids (b, t), padded at the end with 0, and which of them are real (b, t) bool."""

    ids: Tensor
    valid: Tensor


def build_tokenizer(instructions: Iterable[str]) -> Tokenizer:
    """A word-level tokenizer over the words of some instructions; other words become ``<unk>``."""
    splitter = Whitespace()
    words = sorted({w for text in instructions for w, _ in splitter.pre_tokenize_str(text.lower())})
    vocabulary = {word: i for i, word in enumerate([*SPECIAL, *words])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = Lowercase()
    tokenizer.pre_tokenizer = splitter
    return tokenizer


def encode_words(tokenizer: Tokenizer, instructions: Sequence[str], max_words: int) -> Words:
    """Tokenize a batch of instructions.

    Raises:
        ContractError: If one is empty or longer than ``max_words`` tokens.
    """
    encoded = [tokenizer.encode(text, add_special_tokens=False).ids for text in instructions]
    for text, tokens in zip(instructions, encoded, strict=True):
        if not 1 <= len(tokens) <= max_words:
            raise ContractError(f"instruction {text!r} has {len(tokens)} tokens, expected 1 to {max_words}")
    width = max(map(len, encoded))
    ids = torch.zeros(len(encoded), width, dtype=torch.long)
    valid = torch.zeros(len(encoded), width, dtype=torch.bool)
    for row, tokens in enumerate(encoded):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        valid[row, : len(tokens)] = True
    return Words(ids, valid)
