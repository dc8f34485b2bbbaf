"""Arrays of several datasets read as one, where they are: on disk, mapped into memory, never copied."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

# Rows that are looked at together in a pass over all of them.
BLOCK = 2**16


class Rows:
    """Arrays (n_i, w_i) or (n_i,) one after the other; narrower ones are padded with 0 on the right.

    Args:
        parts: The arrays, all of one kind.
        offsets: Added to the values of each; None: nothing is.
        tables: What the values of each stand for; None: for themselves.
    """

    def __init__(
        self,
        parts: Sequence[np.ndarray],
        offsets: Sequence[int] | None = None,
        tables: Sequence[np.ndarray] | None = None,
    ) -> None:
        self._parts = parts
        self._offsets = offsets
        self._tables = tables
        self._starts = np.cumsum([0, *map(len, parts)])
        width = max((part.shape[1:] for part in parts), default=())
        self.shape: tuple[int, ...] = (int(self._starts[-1]), *width)
        self.dtype = parts[0].dtype if tables is None else tables[0].dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> Any:
        """Return rows at a number, a slice, or an array of numbers of any shape."""
        if isinstance(index, slice):
            index = np.arange(*index.indices(len(self)))
        wanted = np.asarray(index)
        flat = wanted.reshape(-1)
        if len(flat) and not (flat.min() >= 0 and flat.max() < len(self)):
            raise IndexError(f"rows {flat.min()} to {flat.max()} of {len(self)}")
        out = np.zeros((len(flat), *self.shape[1:]), self.dtype)
        part = np.searchsorted(self._starts, flat, side="right") - 1
        for number in np.unique(part):
            places = np.flatnonzero(part == number)
            values = self._read(number, flat[places] - self._starts[number])
            if values.ndim == 2:
                out[places, : values.shape[1]] = values
            else:
                out[places] = values
        return out.reshape(wanted.shape + self.shape[1:])[()]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:  # noqa: FBT001 (NumPy's)
        """All of it, in memory."""
        return np.asarray(self[:], dtype)

    def _read(self, number: int, rows: np.ndarray) -> np.ndarray:
        values = self._parts[number][rows]
        if self._tables is not None:
            values = self._tables[number][values]
        return values if self._offsets is None else values + self._offsets[number]


Column = np.ndarray | Rows


def blocks(column: Column) -> Iterator[tuple[int, np.ndarray]]:
    """All rows, some at a time: number of the first one, and they."""
    for start in range(0, len(column), BLOCK):
        yield start, np.asarray(column[start : start + BLOCK])
