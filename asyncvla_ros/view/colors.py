"""Color by confidence: one scale for markers, overlay and pictures."""

from __future__ import annotations

import cv2
import numpy as np

# Perceptually ordered, also for color-blind eyes and in gray; yellow: sure.
SCALE = "viridis"
# The darkest part of the scale cannot be told from a dark background.
LOWEST = 0.15
UNKNOWN = (0.55, 0.55, 0.55, 1.0)
# (256, 3) RGB of the scale. OpenCV's: a node does not load matplotlib, and what it may print with it.
_RGB = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_VIRIDIS)[:, 0, ::-1] / 255


def confidence_rgba(confidence: np.ndarray) -> np.ndarray:
    """Return colors of confidences.

    Args:
        confidence: (l,) in (0, 1), clipped to it; NaN: unknown, gray.

    Returns:
        (l, 4) float64 RGBA in [0, 1].
    """
    values = np.asarray(confidence, np.float64)
    known = np.isfinite(values)
    clipped = np.clip(np.where(known, values, 0.0), 0.0, 1.0)
    rgb = _RGB[np.round(255 * (LOWEST + (1.0 - LOWEST) * clipped)).astype(np.intp)]
    return np.where(known[:, None], np.c_[rgb, np.ones(len(rgb))], UNKNOWN)
