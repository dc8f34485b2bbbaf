"""Conversion of instructions to token ids, by Qwen's tokenizer or by nano's word list."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Whitespace
from torch import Tensor

from asyncvla_ros.common.lfs import lfs_remedy
from asyncvla_ros.model.config import IMAGES, INSTRUCTION
from asyncvla_ros.types import CheckpointError, ContractError

# Their indices are the ids in ``nano_config``.
UNKNOWN = "<unk>"
SPECIAL = ("<pad>", UNKNOWN, "<image>", "<video>", "<vision_start>", "<vision_end>")


@dataclass(frozen=True)
class Words:
    """Token ids (b, t), padded at the end with 0, and their mask (b, t) bool."""

    ids: Tensor
    valid: Tensor


def build_tokenizer(instructions: Iterable[str]) -> Tokenizer:
    """Build a word-level tokenizer from the words of instructions; other words become ``UNKNOWN``."""
    splitter = Whitespace()
    words = sorted({w for text in instructions for w, _ in splitter.pre_tokenize_str(text.lower())})
    vocabulary = {word: i for i, word in enumerate([*SPECIAL, *words])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.normalizer = Lowercase()
    tokenizer.pre_tokenizer = splitter
    return tokenizer


def unknown_words(tokenizer: Tokenizer, instruction: str, max_words: int) -> tuple[str, ...]:
    """Return the words of an instruction that training has not seen, each once.

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


def knows_all(tokenizer: Tokenizer, instructions: Iterable[str]) -> bool:
    """Return whether every word of the instructions has its own token."""
    unknown = tokenizer.token_to_id(UNKNOWN)
    texts = [tokenizer.encode(text, add_special_tokens=False).ids for text in instructions]
    return unknown is None or not any(unknown in tokens for tokens in texts)


def encode_words(
    tokenizer: Tokenizer, instructions: Sequence[str], max_words: int, prompt: str = IMAGES + INSTRUCTION
) -> Words:
    """Tokenize a batch of instructions in a prompt, without its images.

    Args:
        tokenizer: Tokenizer that has the special tokens of the prompt.
        instructions: One per observation.
        max_words: Most tokens of an instruction, without the prompt.
        prompt: See ``AsyncVLAConfig``.

    Raises:
        ContractError: If one is empty or longer than ``max_words`` tokens.
    """

    def tokens(text: str) -> list[int]:
        return list(tokenizer.encode(text, add_special_tokens=False).ids)

    for text in instructions:
        if not 1 <= (count := len(tokens(text))) <= max_words:
            raise ContractError(f"instruction {text!r} has {count} tokens, expected 1 to {max_words}")
    head, rest = prompt.split(IMAGES)
    start = tokens(head)
    encoded = [start + tokens(rest.replace(INSTRUCTION, text)) for text in instructions]
    width = max(map(len, encoded))
    ids = torch.zeros(len(encoded), width, dtype=torch.long)
    valid = torch.zeros(len(encoded), width, dtype=torch.bool)
    for row, sequence in enumerate(encoded):
        ids[row, : len(sequence)] = torch.tensor(sequence)
        valid[row, : len(sequence)] = True
    return Words(ids, valid)


def load_tokenizer(folder: Path) -> Tokenizer:
    """Read ``tokenizer.json`` of a folder.

    Raises:
        CheckpointError: If the file is unreadable.
    """
    file = folder / "tokenizer.json"
    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:  # tokenizers raises bare Exception from Rust
        raise CheckpointError(f"{file} is not a tokenizers file: {error}{lfs_remedy(file)}") from error


def head_tokens(tokenizer: Tokenizer, prompt: str) -> int:
    """Return how many tokens of a prompt stand before its images."""
    return len(tokenizer.encode(prompt.split(IMAGES)[0], add_special_tokens=False).ids)
