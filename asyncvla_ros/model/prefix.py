"""The encoded observation that all later passes read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Prefix:
    """An encoded observation, as later passes need it.

    Attributes:
        keys: Per layer, (b, heads, p, head_dim), rotated.
        values: Per layer, (b, heads, p, head_dim).
        hidden: (b, p, width), after the final norm; the state token is the last.
        positions: (3, b, p).
        valid: (b, p) bool, False on padding.
        next_position: (b,), the rotary position of the first action.
    """

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
    hidden: Tensor
    positions: Tensor
    valid: Tensor
    next_position: Tensor

    def tensors(self) -> list[Tensor]:
        """Return all tensors, in the order of ``of_tensors``."""
        return [self.hidden, self.positions, self.valid, self.next_position, *self.keys, *self.values]

    @staticmethod
    def of_tensors(tensors: Sequence[Tensor]) -> Prefix:
        """Return the inverse of ``tensors``."""
        hidden, positions, valid, next_position, *cache = tensors
        layers = len(cache) // 2
        return Prefix(
            tuple(cache[:layers]),
            tuple(cache[layers:]),
            hidden,
            positions,
            valid=valid,
            next_position=next_position,
        )

    def repeat(self, times: int) -> Prefix:
        """Repeat each observation ``times`` times, for several drafts after one prefix pass."""
        if times == 1:
            return self

        def rows(x: Tensor) -> Tensor:
            return x.repeat_interleave(times, dim=0)

        return Prefix(
            tuple(rows(keys) for keys in self.keys),
            tuple(rows(values) for values in self.values),
            rows(self.hidden),
            self.positions.repeat_interleave(times, dim=1),
            valid=rows(self.valid),
            next_position=rows(self.next_position),
        )


@dataclass(frozen=True)
class AttentionContext:
    """Rotary embeddings (cosines and sines (b, n, head_dim)) and attention mask."""

    rotary: tuple[Tensor, Tensor]
    mask: Tensor | None
