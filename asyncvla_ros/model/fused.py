"""The suffix pass with fused weights: what ten to twenty denoising steps of a decision spend their time on.

A small network on a CPU is slowed by the number of operations rather than by arithmetic. Same mathematics as
transformers' layers, in fewer and larger products:

    query, key, value     one product; norm weight, softmax scale and shared heads folded into its weight
    gate, up              one product; norm weight folded
    keys and values       written behind those of the prefix, which are copied once per sampling
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from asyncvla_ros.model.prefix import Frame, Prefix


@dataclass(frozen=True)
class _Layer:
    """Weights (in, out) of a decoder layer; heads are those of the queries throughout."""

    qkv: Tensor
    qkv_bias: Tensor
    out: Tensor
    gate_up: Tensor
    down: Tensor


class FusedDecoder:
    """A frozen copy of a decoder's weights for inference; later changes to the decoder do not reach it.

    Args:
        layers: Qwen2.5-VL decoder layers.
        norm: The final norm.
    """

    def __init__(self, layers: Any, norm: Any) -> None:
        first = layers[0].self_attn
        self._heads, self._head_dim = first.num_heads, first.head_dim
        self._epsilon = layers[0].input_layernorm.variance_epsilon
        self._norm = norm.weight.detach()
        self._layers = [_fuse(layer) for layer in layers]

    def behind(self, prefix: Prefix, frame: Frame) -> Callable[[Tensor], Tensor]:
        """Suffix passes behind one prefix: (b, n, width) embeddings to (b, n, width) hidden tokens.

        Args:
            prefix: The encoded observation.
            frame: Of the n suffix tokens; its mask is additive or None.
        """
        cos, sin = (part[:, :, None] for part in frame.rotary)
        # Rotating by half a head and negating the first half is a roll times a signed sine.
        signed = torch.cat([-sin[..., : self._head_dim // 2], sin[..., self._head_dim // 2 :]], dim=-1)
        past = prefix.keys[0].shape[2]
        cache = [
            (self._room(keys, cos.shape[1]), self._room(values, cos.shape[1]))
            for keys, values in zip(prefix.keys, prefix.values, strict=True)
        ]

        def run(x: Tensor) -> Tensor:
            h = x.flatten(0, 1)
            for layer, (keys, values) in zip(self._layers, cache, strict=True):
                qkv = torch.addmm(layer.qkv_bias, self._normalize(h), layer.qkv)
                qkv = qkv.view(*x.shape[:2], 3 * self._heads, self._head_dim)
                qk = qkv[:, :, : 2 * self._heads]
                qk = torch.addcmul(qk * cos, qk.roll(self._head_dim // 2, -1), signed).transpose(1, 2)
                keys[:, :, past:] = qk[:, self._heads :]
                values[:, :, past:] = qkv[:, :, 2 * self._heads :].transpose(1, 2)
                logits = torch.matmul(qk[:, : self._heads], keys.transpose(2, 3))
                if frame.mask is not None:
                    logits = logits + frame.mask
                seen = torch.matmul(torch.softmax(logits, dim=-1), values)
                h = torch.addmm(h, seen.transpose(1, 2).reshape(h.shape[0], -1), layer.out)
                gate, up = torch.mm(self._normalize(h), layer.gate_up).chunk(2, dim=-1)
                h = torch.addmm(h, functional.silu(gate) * up, layer.down)
            return (self._normalize(h) * self._norm).view_as(x)

        return run

    def _normalize(self, h: Tensor) -> Tensor:
        return h * torch.rsqrt(h.square().mean(-1, keepdim=True) + self._epsilon)

    def _room(self, past: Tensor, length: int) -> Tensor:
        """Keys or values (b, kv heads, p, dim) of the prefix, with room for ``length`` more per head."""
        past = past.repeat_interleave(self._heads // past.shape[1], dim=1)
        return torch.cat([past, past.new_zeros(*past.shape[:2], length, past.shape[3])], dim=2)


def _fuse(layer: Any) -> _Layer:
    attention, mlp = layer.self_attn, layer.mlp
    heads, dim = attention.num_heads, attention.head_dim

    def per_head(projection: nn.Linear, scale: float = 1.0) -> tuple[Tensor, Tensor]:
        """Weight (heads * dim, width) and bias, with shared heads repeated."""
        weight = projection.weight.detach().view(-1, dim, projection.in_features)
        bias = projection.bias.detach().view(-1, dim)
        repeats = heads // weight.shape[0]
        return (
            scale * weight.repeat_interleave(repeats, dim=0).flatten(0, 1),
            scale * bias.repeat_interleave(repeats, dim=0).flatten(),
        )

    parts = [per_head(attention.q_proj, dim**-0.5), per_head(attention.k_proj), per_head(attention.v_proj)]
    gate_up = torch.cat([mlp.gate_proj.weight.detach(), mlp.up_proj.weight.detach()])
    return _Layer(
        qkv=(torch.cat([weight for weight, _ in parts]) * layer.input_layernorm.weight.detach()).t(),
        qkv_bias=torch.cat([bias for _, bias in parts]),
        out=attention.o_proj.weight.detach().t(),
        gate_up=(gate_up * layer.post_attention_layernorm.weight.detach()).t(),
        down=mlp.down_proj.weight.detach().t(),
    )
