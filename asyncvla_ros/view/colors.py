"""Color by confidence: one scale for markers, overlay and pictures."""

from __future__ import annotations

import cv2
import numpy as np

# A perceptually ordered scale, also for color-blind people and in gray; yellow is high confidence.
SCALE = "viridis"
# Start of the used part of the scale: the darkest part is invisible on a dark background.
LOWEST = 0.15
UNKNOWN = (0.55, 0.55, 0.55, 1.0)
# (256, 3) RGB of the scale, from OpenCV, because a node should not load matplotlib.
_RGB = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_VIRIDIS)[:, 0, ::-1] / 255


def confidence_rgba(confidence: np.ndarray) -> np.ndarray:
    """Map confidences to colors.

    Args:
        confidence: (l,), clipped to [0, 1]; NaN: unknown, gray.

    Returns:
        (l, 4) float64 RGBA in [0, 1].
    """
    values = np.asarray(confidence, np.float64)
    known = np.isfinite(values)
    clipped = np.clip(np.where(known, values, 0.0), 0.0, 1.0)
    rgb = _RGB[np.round(255 * (LOWEST + (1.0 - LOWEST) * clipped)).astype(np.intp)]
    return np.where(known[:, None], np.c_[rgb, np.ones(len(rgb))], UNKNOWN)
