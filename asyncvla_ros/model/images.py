"""Image preprocessing, shared by training and serving."""

from __future__ import annotations

import cv2
import numpy as np

from asyncvla_ros.types import ContractError


def resize_image(image: np.ndarray, size: int) -> np.ndarray:
    """Resize an RGB image by area averaging, (h, w, 3) uint8 -> (size, size, 3) uint8.

    Raises:
        ContractError: If the image has another shape or type.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ContractError(f"image is {image.shape} {image.dtype}, expected (height, width, 3) uint8 RGB")
    if image.shape[:2] == (size, size):
        return np.ascontiguousarray(image)
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
