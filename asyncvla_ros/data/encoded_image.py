"""Decoding of JPEG and PNG to RGB arrays, with a check of the size before memory is allocated."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
import PIL.Image

from asyncvla_ros.types import ContractError

# Greatest number of pixels: 8K, 7680x4320, still fits.
MAX_PIXELS = 2**25
KINDS = ("JPEG", "PNG")


def decode(data: Any, where: str, *, is_gray_16_ok: bool = False) -> np.ndarray:
    """Decode an image file.

    Args:
        data: The bytes, or an array of them.
        where: Place for messages.
        is_gray_16_ok: Whether one channel of 16 bits is an image; else it counts as a depth image.

    Returns:
        (h, w, 3) uint8, RGB; the upper eight of 16 bits.

    Raises:
        ContractError: the data is no JPEG or PNG, truncated, too large, or a depth image.
    """
    try:
        with PIL.Image.open(io.BytesIO(data), formats=KINDS) as picture:
            (width, height), mode = picture.size, picture.mode
    except Exception as error:  # The library raises many types for a corrupt header.
        raise _corrupt(data, where) from error
    check_size(width, height, where)
    if mode.startswith("I") and not is_gray_16_ok:
        raise ContractError(f"{where}: a PNG of one channel with 16 bits is a depth image; expected colors")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise _corrupt(data, where) from error
    if image is None:
        raise _corrupt(data, where)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def to_jpeg(image: np.ndarray, width: int | None = None, quality: int = 80) -> bytes:
    """Encode an image as JPEG.

    Args:
        image: (h, w, 3) uint8, RGB.
        width: Greatest width [px]; the height follows. None: unchanged.
        quality: Quality from 0 to 100.
    """
    height = image.shape[0] * (width or 0) // image.shape[1]
    if width is not None and width < image.shape[1] and height:
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    return bytes(cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)[1])


def to_png(image: np.ndarray) -> bytes:
    """Encode an image (h, w, 3) uint8, RGB, as PNG, without loss."""
    return bytes(cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1])


def check_size(width: int, height: int, where: str) -> None:
    """Raise ContractError if an image is too large."""
    if width * height > MAX_PIXELS:
        raise ContractError(
            f"{where}: a picture of {width}x{height} has {width * height} pixels, expected at most "
            f"{MAX_PIXELS}"
        )


def _corrupt(data: Any, where: str) -> ContractError:
    return ContractError(f"{where}: {len(data)} bytes do not decode; expected JPEG or PNG")
