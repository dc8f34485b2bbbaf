"""Colour by confidence: one scale for markers, overlay and pictures."""

from __future__ import annotations

import matplotlib
import numpy as np

# Perceptually ordered, also for colour-blind eyes and in grey; yellow: sure.
SCALE = "viridis"
# The darkest part of the scale cannot be told from a dark background.
LOWEST = 0.15
UNKNOWN = (0.55, 0.55, 0.55, 1.0)


def confidence_rgba(confidence: np.ndarray) -> np.ndarray:
    """Colours of confidences.

    Args:
        confidence: (l,) in (0, 1), clipped to it; NaN: unknown, grey.

    Returns:
        (l, 4) float64 RGBA in [0, 1].
    """
    values = np.asarray(confidence, np.float64)
    known = np.isfinite(values)
    clipped = np.clip(np.where(known, values, 0.0), 0.0, 1.0)
    colours = matplotlib.colormaps[SCALE](LOWEST + (1.0 - LOWEST) * clipped)
    return np.where(known[:, None], colours, UNKNOWN)
