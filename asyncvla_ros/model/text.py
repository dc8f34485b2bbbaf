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
UNKNOWN = "<unk>"
SPECIAL = ("<pad>", UNKNOWN, "<image>", "<video>", "<vision_start>", "<vision_end>")


@dataclass(frozen=True)
class Words:
    """Token ids (b, t), padded at the end with 0, and which of them are real (b, t) bool."""

    ids: Tensor
    valid: Tensor


def build_tokenizer(instructions: Iterable[str]) -> Tokenizer:
    """A word-level tokenizer over the words of some instructions; other words become ``UNKNOWN``."""
    splitter = Whitespace()
    words = sorted({w for text in instructions for w, _ in splitter.pre_tokenize_str(text.lower())})
    vocabulary = {word: i for i, word in enumerate([*SPECIAL, *words])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.normalizer = Lowercase()
    tokenizer.pre_tokenizer = splitter
    return tokenizer


def unknown_words(tokenizer: Tokenizer, instruction: str, max_words: int) -> tuple[str, ...]:
    """Words of an instruction that no training has seen, each once.

    Raises:
        ContractError: If the instruction is blank or too long, or none of its words is known.
    """
    encode_words(tokenizer, [instruction], max_words)
    encoding = tokenizer.encode(instruction, add_special_tokens=False)
    unknown = tokenizer.token_to_id(UNKNOWN)
    places = [place for place, token in enumerate(encoding.ids) if token == unknown]
    words = dict.fromkeys(instruction[slice(*encoding.offsets[place])] for place in places)
    if len(places) == len(encoding.ids):
        raise ContractError(
            f"instruction {instruction!r}: the policy knows none of its words; it knows "
            f"{', '.join(sorted(set(tokenizer.get_vocab()) - set(SPECIAL)))}"
        )
    return tuple(words)


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
