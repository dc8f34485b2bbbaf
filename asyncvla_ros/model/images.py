"""The one image preprocessing that training and serving share."""

from __future__ import annotations

import cv2
import numpy as np

from asyncvla_ros.types import ContractError


def resize_image(image: np.ndarray, size: int) -> np.ndarray:
    """Area-average an RGB image (h, w, 3) uint8 to (size, size, 3) uint8.

    Raises:
        ContractError: If the image is of another shape or type.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ContractError(f"image is {image.shape} {image.dtype}, expected (height, width, 3) uint8 RGB")
    if image.shape[:2] == (size, size):
        return np.ascontiguousarray(image)
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
