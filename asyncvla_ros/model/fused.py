"""Inference with fused weights, for all passes of a decision.

A small network on a CPU is slowed by the number of operations rather than by arithmetic. Same mathematics as
transformers' layers, in fewer and larger products:

    patches               one product instead of a convolution
    query, key, value     one product; norm weight, softmax scale and shared heads folded into its weight
    rotary positions      one complex product; the two halves of each head interleaved in the weight
    gate, up              one product; norm weight folded
    keys and values       written behind those of the prefix, which are copied once per sampling
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from asyncvla_ros.model.prefix import Frame, Prefix

# Queries (b, heads, n, dim), keys and values (b, heads, m, dim) -> what was seen (b, heads, n, dim).
_Attend = Callable[[Tensor, Tensor, Tensor], Tensor]


class FusedDecoder:
    """A frozen copy of a decoder's weights for inference; later changes to the decoder do not reach it.

    Its keys are interleaved: what ``encode`` answered is for ``behind`` of the same decoder.

    Args:
        layers: Qwen2.5-VL decoder layers.
        norm: The final norm.
    """

    def __init__(self, layers: Any, norm: Any) -> None:
        self._layers = [_fuse_decoder_layer(layer) for layer in layers]
        self._norm, self._epsilon = norm.weight.detach(), norm.variance_epsilon

    def encode(self, x: Tensor, frame: Frame) -> tuple[Tensor, tuple[Tensor, ...], tuple[Tensor, ...]]:
        """The prefix pass over embeddings (b, p, width): hidden tokens, and keys and values of each layer."""
        kept: list[tuple[Tensor, Tensor]] = []

        def attend(query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
            kept.append((keys, values))
            return _attention(query, keys, values, frame.mask)

        hidden = self._run(x, [attend] * len(self._layers), _turn(frame.rotary))
        keys, values = zip(*kept, strict=True)
        return hidden, keys, values

    def behind(self, prefix: Prefix, frame: Frame) -> Callable[[Tensor], Tensor]:
        """Suffix passes behind one prefix: (b, n, width) embeddings to (b, n, width) hidden tokens.

        Args:
            prefix: The observation, as encoded by this decoder.
            frame: Of the n suffix tokens; its mask is additive or None.
        """
        length = frame.rotary[0].shape[1]

        def behind_prefix(past_keys: Tensor, past_values: Tensor) -> _Attend:
            past = past_keys.shape[2]
            all_keys, all_values = (functional.pad(x, (0, 0, 0, length)) for x in (past_keys, past_values))

            def attend(query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
                all_keys[:, :, past:] = keys
                all_values[:, :, past:] = values
                return _attention(query, all_keys, all_values, frame.mask)

            return attend

        attends = [behind_prefix(*past) for past in zip(prefix.keys, prefix.values, strict=True)]
        turn = _turn(frame.rotary)
        return lambda x: self._run(x, attends, turn)

    def _run(self, x: Tensor, attends: list[_Attend], turn: Tensor) -> Tensor:
        h = x.flatten(0, 1)
        for layer, attend in zip(self._layers, attends, strict=True):
            h = layer(h, turn, attend)
        return functional.rms_norm(h, self._norm.shape, self._norm, self._epsilon).view_as(x)


class FusedVision:
    """A frozen copy of the weights of a vision tower, for images of one size.

    Args:
        visual: Qwen2.5-VL vision tower whose blocks all have full attention.
        grid: Patches along each side of an image.
    """

    def __init__(self, visual: Any, grid: int) -> None:
        self._turn = _vision_turn(visual.rotary_pos_emb.inv_freq, grid, visual.spatial_merge_size)
        self._patch = _transposed(visual.patch_embed.proj.weight.detach().flatten(1))
        self._layers = [_fuse_vision_block(block) for block in visual.blocks]
        norm, (first, _, last) = visual.merger.ln_q, visual.merger.mlp
        self._epsilon = norm.variance_epsilon
        merged = first.in_features // len(norm.weight)
        self._first = _transposed(first.weight.detach() * norm.weight.detach().repeat(merged))
        self._first_bias = first.bias.detach()
        self._last, self._last_bias = _transposed(last.weight.detach()), last.bias.detach()

    def __call__(self, patches: Tensor) -> Tensor:
        """Patches (images * grid * grid, values) in merge-block order to image tokens (n, width)."""
        h = torch.mm(patches, self._patch)
        for layer in self._layers:
            h = layer(h, self._turn, _attention)
        h = _normalize(h, self._epsilon).view(-1, self._first.shape[0])
        h = functional.gelu(torch.addmm(self._first_bias, h, self._first))
        return torch.addmm(self._last_bias, h, self._last)


@dataclass(frozen=True)
class _Layer:
    """A layer with a gated MLP; weights (in, out), heads are those of the queries throughout."""

    heads: int
    epsilon: float
    qkv: Tensor
    qkv_bias: Tensor
    out: Tensor
    out_bias: Tensor | None
    gate_up: Tensor
    gate_up_bias: Tensor | None
    down: Tensor
    down_bias: Tensor | None

    def __call__(self, h: Tensor, turn: Tensor, attend: _Attend) -> Tensor:
        """Tokens (b * n, width) to tokens (b * n, width); ``turn`` (b or 1, n, 1, head dim / 2), complex."""
        qkv = torch.addmm(self.qkv_bias, _normalize(h, self.epsilon), self.qkv)
        qkv = qkv.view(-1, turn.shape[1], 3 * self.heads, 2 * turn.shape[3])
        pairs = qkv[:, :, : 2 * self.heads].unflatten(3, (-1, 2))
        qk = torch.view_as_real(torch.view_as_complex(pairs) * turn).flatten(3).transpose(1, 2)
        values = qkv[:, :, 2 * self.heads :].transpose(1, 2)
        seen = attend(qk[:, : self.heads], qk[:, self.heads :], values)
        seen = seen.transpose(1, 2).reshape(len(h), -1)
        h = _linear(seen, self.out, self.out_bias, h)
        gate_up = _linear(_normalize(h, self.epsilon), self.gate_up, self.gate_up_bias)
        gate, up = gate_up.chunk(2, dim=-1)
        return _linear(functional.silu(gate) * up, self.down, self.down_bias, h)


def _fuse_decoder_layer(layer: Any) -> _Layer:
    attention, mlp = layer.self_attn, layer.mlp
    heads, dim = attention.num_heads, attention.head_dim
    projections = (attention.q_proj, attention.k_proj, attention.v_proj)
    weights = [p.weight.detach().view(-1, dim, p.in_features) for p in projections]
    biases = [p.bias.detach().view(-1, dim) for p in projections]
    qkv, bias = (
        torch.cat([part.repeat_interleave(heads // len(part), dim=0) for part in parts])
        for parts in (weights, biases)
    )
    return _fuse(
        layer.input_layernorm, qkv, bias, heads, attention.o_proj, layer.post_attention_layernorm, mlp
    )


def _fuse_vision_block(block: Any) -> _Layer:
    attention = block.attn
    qkv, heads = attention.qkv, attention.num_heads
    weight = qkv.weight.detach().view(3 * heads, -1, qkv.in_features)
    bias = qkv.bias.detach().view(3 * heads, -1)
    return _fuse(block.norm1, weight, bias, heads, attention.proj, block.norm2, block.mlp)


def _fuse(norm1: Any, qkv: Tensor, bias: Tensor, heads: int, out: nn.Linear, norm2: Any, mlp: Any) -> _Layer:
    """``qkv``: (3 * heads, dim, width) with bias (3 * heads, dim), in the order of transformers."""
    dim = qkv.shape[1]
    # Rotary positions turn dim i with dim i + dim / 2; beside one another they are a complex number.
    pairs = torch.arange(dim).view(2, -1).t().flatten()

    def ready(x: Tensor) -> Tensor:
        query, key, value = x.split(heads)
        return torch.cat([query[:, pairs] * dim**-0.5, key[:, pairs], value]).flatten(0, 1)

    return _Layer(
        heads=heads,
        epsilon=norm1.variance_epsilon,
        qkv=_transposed(ready(qkv) * norm1.weight.detach()),
        qkv_bias=ready(bias),
        out=_transposed(out.weight.detach()),
        out_bias=None if out.bias is None else out.bias.detach(),
        gate_up=_transposed(_both(mlp.gate_proj.weight, mlp.up_proj.weight) * norm2.weight.detach()),
        gate_up_bias=None if mlp.gate_proj.bias is None else _both(mlp.gate_proj.bias, mlp.up_proj.bias),
        down=_transposed(mlp.down_proj.weight.detach()),
        down_bias=None if mlp.down_proj.bias is None else mlp.down_proj.bias.detach(),
    )


def _both(gate: Tensor, up: Tensor) -> Tensor:
    return torch.cat([gate.detach(), up.detach()])


def _transposed(weight: Tensor) -> Tensor:
    # Contiguous: with few rows a product is up to twice as fast as with a transposed view.
    return weight.t().contiguous()


def _turn(rotary: tuple[Tensor, Tensor]) -> Tensor:
    """Cosines and sines (b, n, dim), both halves alike, to unit complex numbers (b, n, 1, dim / 2)."""
    cos, sin = (part[..., : part.shape[-1] // 2] for part in rotary)
    return torch.complex(cos, sin)[:, :, None]


def _vision_turn(frequencies: Tensor, grid: int, merge: int) -> Tensor:
    """Each patch turns by its row and its column: (1, grid * grid, 1, head dim / 2) in merge-block order."""
    line = torch.arange(grid)
    places = torch.stack(torch.meshgrid(line, line, indexing="ij"))
    places = rearrange(places, "yx (gh mh) (gw mw) -> (gh gw mh mw) yx 1", mh=merge, mw=merge)
    angles = (places * frequencies).flatten(1)
    return torch.polar(torch.ones_like(angles), angles)[None, :, None]


def _normalize(h: Tensor, epsilon: float) -> Tensor:
    return functional.rms_norm(h, h.shape[-1:], None, epsilon)


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None, residual: Tensor | None = None) -> Tensor:
    if residual is None:
        return torch.mm(x, weight) if bias is None else torch.addmm(bias, x, weight)
    return torch.addmm(residual if bias is None else residual + bias, x, weight)


def _attention(query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None) -> Tensor:
    logits = torch.matmul(query, keys.transpose(2, 3))
    if mask is not None:
        logits = logits + mask
    return torch.matmul(torch.softmax(logits, dim=-1), values)
