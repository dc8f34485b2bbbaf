"""A small Qwen2.5-VL folder, written by transformers itself, with a tokenizer that knows the prompt."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from asyncvla_ros.model.sizes import tiny_config

SPECIAL = tuple(
    f"<|{name}|>" for name in ("im_start", "im_end", "vision_start", "vision_end", "image_pad", "video_pad")
)
PLAIN = (".", "a", "are", "assistant", "cup", "helpful", "lift", "red", "system", "the", "user", "You")
WORDS = ("<unk>", *PLAIN)


def tiny_qwen(folder: Path) -> Path:
    """Write the folder; the network has 0.2 M parameters and the shape of the real one."""
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    ids = {name: tokenizer.token_to_id(name) for name in SPECIAL}
    torch.manual_seed(0)
    backbone = {
        **tiny_config(tokenizer.get_vocab_size()).backbone,
        "image_token_id": ids["<|image_pad|>"],
        "video_token_id": ids["<|video_pad|>"],
        "vision_start_token_id": ids["<|vision_start|>"],
        "vision_end_token_id": ids["<|vision_end|>"],
    }
    network = Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(**backbone, tie_word_embeddings=True))
    network.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder
