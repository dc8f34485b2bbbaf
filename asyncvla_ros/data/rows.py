"""Arrays of several datasets read as one from memory-mapped files, without copies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

# Rows per block in a pass over all of them.
BLOCK = 2**16


class Rows:
    """Concatenation of arrays (n_i, w_i) or (n_i,); narrower ones are padded with 0 on the right.

    Args:
        parts: The arrays, all of one kind.
        offsets: Numbers to add to the values of each array; None: no offset.
        tables: Lookup table for the values of each array; None: no lookup.
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
        """Return the rows at an index, a slice, or an array of indices of any shape."""
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
        """Return all rows in memory."""
        return np.asarray(self[:], dtype)

    def _read(self, number: int, rows: np.ndarray) -> np.ndarray:
        values = self._parts[number][rows]
        if self._tables is not None:
            values = self._tables[number][values]
        return values if self._offsets is None else values + self._offsets[number]


Column = np.ndarray | Rows


def blocks(column: Column) -> Iterator[tuple[int, np.ndarray]]:
    """Yield all rows in blocks: index of the first row, and the block."""
    for start in range(0, len(column), BLOCK):
        yield start, np.asarray(column[start : start + BLOCK])
