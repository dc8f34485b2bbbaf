"""Scaling between physical values and network units (numpy only)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from asyncvla_ros.types import CheckpointError

#: Least divisor [m, rad]: a dim that hardly moved in the data would turn sensor noise into large inputs.
MIN_STD = 0.02
#: The same for deltas per control step, which are some mm or hundredths of a rad.
MIN_DELTA_STD = 0.0005


@dataclass(frozen=True)
class NormStats:
    """Statistics of one vector feature over a dataset; each (n,) float32.

    ``mode`` is ``mean_std`` (zero mean, unit deviation) or ``quantile`` (q01..q99 to -1..1); ``floor`` is the
    least divisor.
    """

    mode: str
    mean: np.ndarray
    std: np.ndarray
    q01: np.ndarray
    q99: np.ndarray
    floor: float = MIN_STD

    @staticmethod
    def of(values: np.ndarray, mode: str = "mean_std", floor: float = MIN_STD) -> NormStats:
        """Compute the statistics of (frames, n) values."""
        quantiles = np.quantile(values, [0.01, 0.99], axis=0).astype(np.float32)
        return NormStats(
            mode,
            values.mean(0).astype(np.float32),
            values.std(0).astype(np.float32),
            quantiles[0],
            q99=quantiles[1],
            floor=floor,
        )

    def _center_and_scale(self) -> tuple[np.ndarray, np.ndarray]:
        if self.mode == "mean_std":
            return self.mean, np.maximum(self.std, self.floor)
        return (self.q99 + self.q01) / 2, np.maximum((self.q99 - self.q01) / 2, self.floor)

    def normalize(self, values: np.ndarray) -> np.ndarray:
        """Scale physical (..., n) to network units."""
        center, scale = self._center_and_scale()
        return ((values - center) / scale).astype(np.float32)

    def unnormalize(self, values: np.ndarray) -> np.ndarray:
        """Scale network units (..., n) to physical."""
        center, scale = self._center_and_scale()
        return (values * scale + center).astype(np.float32)

    def to_dict(self) -> dict[str, object]:
        """Return JSON-ready values."""
        arrays = {k: getattr(self, k).tolist() for k in ("mean", "std", "q01", "q99")}
        return {"mode": self.mode, **arrays, "floor": self.floor}

    @staticmethod
    def from_dict(values: object, size: int, what: str) -> NormStats:
        """Return the inverse of ``to_dict``.

        Args:
            values: As written by ``to_dict``, or anything else.
            size: Expected dims.
            what: Name for messages.

        Raises:
            CheckpointError: If a key is missing, of another length, or not finite. Only ``floor`` may be
            missing, in older checkpoints; it defaults to ``MIN_STD``.
        """
        if not isinstance(values, Mapping):
            raise CheckpointError(f"{what} is {values!r}, expected an object")
        if values.get("mode") not in ("mean_std", "quantile"):
            raise CheckpointError(f"{what}: mode is {values.get('mode')!r}, choose 'mean_std' or 'quantile'")
        arrays = {}
        for key in ("mean", "std", "q01", "q99"):
            try:
                array = np.asarray(values.get(key, []), dtype=np.float32)
            except (TypeError, ValueError, OverflowError) as error:
                raise CheckpointError(f"{what}: {key} is not numbers ({error})") from error
            if array.shape != (size,) or not np.isfinite(array).all():
                raise CheckpointError(
                    f"{what}: {key} has shape {array.shape}, expected ({size},) finite numbers"
                )
            arrays[key] = array
        floor = values.get("floor", MIN_STD)
        if isinstance(floor, bool) or not isinstance(floor, int | float) or not 0 < floor < np.inf:
            raise CheckpointError(f"{what}: floor is {floor!r}, expected a number above 0")
        return NormStats(str(values["mode"]), **arrays, floor=float(floor))
