"""Qwen2.5-VL as the backbone: one prefix pass per observation, then cheap suffix passes.

transformers' classes are used unmodified. Their decoder layers are called one by one, so that the keys
and values of the prefix are computed once and serve every denoising step, draw and mask.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModel, Qwen2_5_VLConfig

from asyncvla_ros.model import attention
from asyncvla_ros.model.config import AsyncVLAConfig
from asyncvla_ros.model.layout import Layout
from asyncvla_ros.model.prefix import AttentionContext, Prefix
from asyncvla_ros.model.spatial_softmax import SpatialSoftmax
from asyncvla_ros.model.tokens import prefix_ids, prefix_positions, prefix_valid
from asyncvla_ros.model.vision import see


class _Recorder:
    """A cache for transformers that records each layer's keys and values."""

    def __init__(self) -> None:
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []

    def update(self, keys: Tensor, values: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        self.keys.append(keys)
        self.values.append(values)
        return keys, values


class _PrefixInFront:
    """A cache for transformers that puts the prefix before each layer's own keys and values."""

    def __init__(self, prefix: Prefix) -> None:
        self._prefix = prefix

    def update(self, keys: Tensor, values: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        return (
            torch.cat([self._prefix.keys[layer], keys], dim=2),
            torch.cat([self._prefix.values[layer], values], dim=2),
        )


class Backbone(nn.Module):
    """Observation in, prefix out; action embeddings in, hidden action tokens out.

    Args:
        config: Shape of the network.
        qwen: A ``Qwen2_5_VLModel`` of that shape; None: one with new weights.
    """

    def __init__(self, config: AsyncVLAConfig, qwen: Any = None) -> None:
        super().__init__()
        self.config = config
        dtype = getattr(torch, config.dtype)
        self.qwen = qwen or AutoModel.from_config(Qwen2_5_VLConfig(**config.backbone), dtype=dtype)
        language, vision = attention.implementations(config)
        self.qwen.language_model.config._attn_implementation = language
        self.spatial_softmax: SpatialSoftmax | None = None
        if config.vision == "spatial_softmax":
            self.qwen.visual, self.spatial_softmax = None, SpatialSoftmax(config)
        else:
            self.qwen.visual.config._attn_implementation = vision
        self._layouts: dict[torch.device, Layout] = {}
        width = config.hidden_size
        self.state_in = nn.Linear(config.max_state_dim, width)
        self.image_embedding: nn.Parameter | None = None
        if config.image_token_embedding:
            shape = (config.num_cameras * config.tokens_per_image, width)
            self.image_embedding = nn.Parameter(torch.randn(shape) * 0.02)

    def layout(self, device: torch.device) -> Layout:
        """Return the constants of an observation on a device."""
        if device not in self._layouts:
            self._layouts[device] = Layout(self.config, device)
        return self._layouts[device]

    def embed_prefix(
        self, images: Tensor, token_ids: Tensor, token_mask: Tensor, state: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Embed an observation.

        Args:
            images: (b, cameras, h, w, 3) uint8.
            token_ids: (b, t) token ids, padded at the end.
            token_mask: (b, t) bool.
            state: (b, max_state_dim), normalized, padding 0.

        Returns:
            Embeddings (b, p, width), positions (3, b, p), valid (b, p) and the next position (b,).
        """
        layout = self.layout(images.device)
        seen = self._see(images, token_ids, token_mask, layout)
        if self.image_embedding is not None:
            seen = seen + self.image_embedding
        ids = prefix_ids(token_ids, layout)
        embedded = self.qwen.language_model.embed_tokens(ids)
        is_image = (ids == self.config.backbone["image_token_id"])[..., None]
        embedded = embedded.masked_scatter(is_image, seen.to(embedded.dtype))
        embedded = torch.cat([embedded, self.state_in(state)[:, None].to(embedded.dtype)], dim=1)
        positions, next_position = prefix_positions(token_mask, self.config)
        return embedded, positions, prefix_valid(token_mask, self.config), next_position

    def _see(self, images: Tensor, token_ids: Tensor, token_mask: Tensor, layout: Layout) -> Tensor:
        b, flat = len(images), images.flatten(0, 1)
        if self.spatial_softmax is None:
            return see(self.qwen.visual, flat, layout).unflatten(0, (b, -1))
        words = self.qwen.language_model.embed_tokens(token_ids).float()
        return self.spatial_softmax(layout.pixels(flat).unflatten(0, (b, -1)), words, token_mask)

    def encode(self, images: Tensor, token_ids: Tensor, token_mask: Tensor, state: Tensor) -> Prefix:
        """Encode an observation in one pass; arguments as in ``embed_prefix``."""
        embedded, positions, valid, next_position = self.embed_prefix(images, token_ids, token_mask, state)
        context = self._context(positions, attention.prefix_mask(valid), embedded.dtype)
        language, cache = self.qwen.language_model, _Recorder()
        hidden = run_layers(language.layers, language.norm, embedded, context, cache=cache)
        return Prefix(
            tuple(cache.keys),
            tuple(cache.values),
            hidden,
            positions,
            valid=valid,
            next_position=next_position,
        )

    def make_suffix_pass(self, prefix: Prefix, length: int, draws: int = 1) -> Callable[[Tensor], Tensor]:
        """Return a function for suffix passes after a cached prefix; compute what they share once.

        Args:
            prefix: The encoded observation.
            length: Actions l of a draw.
            draws: Concatenated chunks, which do not attend to each other.

        Returns:
            (b, draws * l, width) embeddings -> (b, draws * l, width) hidden action tokens.
        """
        context = self.suffix_context(prefix, length, draws)
        return lambda embedded: self.suffix_pass(prefix, context, embedded)

    def suffix_context(self, prefix: Prefix, length: int, draws: int) -> AttentionContext:
        """Compute rotary embeddings and attention mask of the action tokens of ``behind``."""
        positions = self._suffix_positions(prefix.next_position, draws, length)
        mask = attention.suffix_mask(prefix.valid, draws, length)
        return self._context(positions, mask, prefix.hidden.dtype)

    def suffix_pass(self, prefix: Prefix, context: AttentionContext, embedded: Tensor) -> Tensor:
        """Run one suffix pass of ``behind`` through transformers' layers."""
        language, x = self.qwen.language_model, embedded.to(prefix.hidden.dtype)
        return run_layers(language.layers, language.norm, x, context, cache=_PrefixInFront(prefix))

    def forward_uncached(
        self, embedded_prefix: tuple[Tensor, Tensor, Tensor, Tensor], embedded: Tensor, draws: int = 1
    ) -> tuple[Tensor, Tensor]:
        """Run ``encode`` and ``behind`` in one pass without a cache, for gradient checkpointing in training.

        Args:
            embedded_prefix: From ``embed_prefix``.
            embedded: (b, draws * l, width) action embeddings.
            draws: Concatenated chunks, which do not attend to each other.

        Returns:
            Hidden prefix tokens (b, p, width) and hidden action tokens (b, draws * l, width).
        """
        prefix, positions, valid, next_position = embedded_prefix
        length, p = embedded.shape[1] // draws, prefix.shape[1]
        positions = torch.cat([positions, self._suffix_positions(next_position, draws, length)], dim=2)
        context = self._context(positions, attention.full_mask(valid, draws, length), prefix.dtype)
        language, x = self.qwen.language_model, torch.cat([prefix, embedded.to(prefix.dtype)], dim=1)
        x = run_layers(language.layers, language.norm, x, context)
        return x[:, :p], x[:, p:]

    @staticmethod
    def _suffix_positions(next_position: Tensor, draws: int, length: int) -> Tensor:
        step = torch.arange(length, device=next_position.device).repeat(draws)
        return (next_position[:, None] + step)[None].expand(3, -1, -1)

    def _context(self, positions: Tensor, mask: Tensor, dtype: torch.dtype) -> AttentionContext:
        rotary = self.qwen.language_model.rotary_emb
        return attention_context(rotary, positions, mask, self.config.attention, dtype=dtype)


def attention_context(
    rotary: nn.Module, positions: Tensor, mask: Tensor, implementation: str, dtype: torch.dtype
) -> AttentionContext:
    """Compute rotary embeddings and attention mask, as the layers take them.

    Args:
        rotary: Rotary embedding of the layers.
        positions: (3, b, n).
        mask: (b, 1, n, keys) bool, True = attend.
        implementation: ``AsyncVLAConfig.attention``.
        dtype: Type of the tokens.
    """
    ready: Tensor | None = mask
    if implementation == "matmul":
        # A compiler cannot branch on whether all tokens are valid.
        is_needed = torch.compiler.is_compiling() or not bool(mask.all())
        ready = attention.additive(mask) if is_needed else None
    # The rotary embedding reads only the type and device of its first argument.
    return AttentionContext(rotary(torch.empty(0, dtype=dtype, device=positions.device), positions), ready)


def run_layers(
    layers: nn.ModuleList, norm: nn.Module, x: Tensor, context: AttentionContext, cache: object = None
) -> Tensor:
    """Run the decoder layers and the final norm over embeddings (b, n, width)."""
    for layer in layers:
        x = layer(x, attention_mask=context.mask, position_embeddings=context.rotary, past_key_values=cache)
    return norm(x)
