"""Conversion of camera messages of any usual encoding to RGB arrays, live or from a bag.

It uses OpenCV alone, because builds of cv_bridge differ: the one on PyPI ignores row padding, lacks YUY2 and
16-bit color, and raises a bare KeyError for 8UC3, 16UC1 and yuv422; the one of Humble needs NumPy 1.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from asyncvla_ros.data.encoded_image import check_size, decode
from asyncvla_ros.types import ContractError

# Encodings of depth cameras, raw and at the start of a compressed format.
DEPTH = ("16UC1", "32FC1")
# Encodings without a defined channel order, which is OpenCV's in drivers that use them.
_UNTYPED = {"8UC1": "mono8", "8UC3": "bgr8", "8UC4": "bgra8"}
# Conversions to RGB.
_COLORS = {
    "mono": cv2.COLOR_GRAY2RGB,
    "bgr": cv2.COLOR_BGR2RGB,
    "rgba": cv2.COLOR_RGBA2RGB,
    "bgra": cv2.COLOR_BGRA2RGB,
}
# OpenCV names a pattern by its second row, ROS by its first.
_BAYER = {
    "bayer_rggb": cv2.COLOR_BayerBG2RGB,
    "bayer_bggr": cv2.COLOR_BayerRG2RGB,
    "bayer_gbrg": cv2.COLOR_BayerGR2RGB,
    "bayer_grbg": cv2.COLOR_BayerGB2RGB,
}
_YUV = {
    "yuv422": cv2.COLOR_YUV2RGB_UYVY,
    "uyvy": cv2.COLOR_YUV2RGB_UYVY,
    "yuv422_yuy2": cv2.COLOR_YUV2RGB_YUY2,
    "yuyv": cv2.COLOR_YUV2RGB_YUY2,
}
_CHANNELS = {"mono": 1, "rgb": 3, "bgr": 3, "rgba": 4, "bgra": 4} | dict.fromkeys(_BAYER, 1)
SUPPORTED = (*(f"{name}{bits}" for name in _CHANNELS for bits in (8, 16)), *_UNTYPED, *_YUV)


def decode_image(message: Any, camera: str) -> np.ndarray:
    """Decode a camera message.

    Args:
        message: sensor_msgs/Image or CompressedImage; 16-bit colors keep their upper byte.
        camera: Name for errors.

    Returns:
        (h, w, 3) uint8, RGB.

    Raises:
        ContractError: the encoding is not supported, the image is too large, or the data is corrupt or too
        short.
    """
    if hasattr(message, "format"):
        return _decode_compressed(message, camera)
    try:
        return _decode_raw(message, camera)
    except cv2.error as error:
        reason = str(error).strip().splitlines()[-1]
        raise ContractError(f"camera {camera}: {message.encoding} does not convert ({reason})") from error


def _decode_raw(message: Any, camera: str) -> np.ndarray:
    encoding = _UNTYPED.get(message.encoding, message.encoding)
    if encoding in _YUV:
        if message.width % 2:
            raise ContractError(
                f"camera {camera}: {message.encoding} has one color for two pixels: the width must be even, "
                f"found {message.width}"
            )
        return cv2.cvtColor(_pixels(message, np.dtype(np.uint8), 2, camera), _YUV[encoding])
    name, bits = encoding.removesuffix("16").removesuffix("8"), 16 if encoding.endswith("16") else 8
    if name not in _CHANNELS or encoding != f"{name}{bits}":
        hint = " (a depth image)" if encoding in DEPTH else ""
        raise ContractError(
            f"camera {camera}: encoding {message.encoding!r}{hint} is not supported; "
            f"the choices are {', '.join(SUPPORTED)}"
        )
    pixels = _pixels(message, _dtype(bits, is_bigendian=message.is_bigendian), _CHANNELS[name], camera)
    if bits == 16:
        pixels = (pixels >> 8).astype(np.uint8)
    if name == "rgb":
        return pixels
    return cv2.cvtColor(pixels, (_COLORS | _BAYER)[name])


def resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize a whole image [px]; the aspect ratio may change.

    It is halved as often as possible, each pixel the mean of four, then interpolated linearly. So every pixel
    counts, in a fifth of the time of area averaging.
    """
    if image.shape[:2] == (height, width):
        return image
    rows, columns = image.shape[:2]
    while rows % 2 == columns % 2 == 0 and rows >= 2 * height and columns >= 2 * width:
        rows, columns = rows // 2, columns // 2
        image = cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA)
    smaller = rows > 2 * height or columns > 2 * width
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)


def _dtype(bits: int, *, is_bigendian: bool) -> np.dtype:
    return np.dtype(f"{'>' if is_bigendian else '<'}u{bits // 8}")


def _pixels(message: Any, dtype: np.dtype, channels: int, camera: str) -> np.ndarray:
    """Return the pixels (h, w) or (h, w, channels) without the padding at the end of rows."""
    height, width, step = message.height, message.width, message.step
    check_size(width, height, f"camera {camera}")
    row = width * channels * dtype.itemsize
    size = len(message.data)
    if height == 0 or width == 0 or step < row or size < step * (height - 1) + row:
        raise ContractError(
            f"camera {camera}: {size} bytes with rows of {step} cannot hold {width}x{height} "
            f"{message.encoding} (rows of at least {row} bytes)"
        )
    shape, strides = (height, width, channels), (step, channels * dtype.itemsize, dtype.itemsize)
    pixels: np.ndarray = np.ndarray(shape, dtype, buffer=message.data, strides=strides)
    return np.ascontiguousarray(pixels[:, :, 0] if channels == 1 else pixels)


def _decode_compressed(message: Any, camera: str) -> np.ndarray:
    # compressed_image_transport writes "rgb8; jpeg compressed bgr8", most drivers just "jpeg".
    encoding = message.format.partition(";")[0].strip()
    where = f"camera {camera} ({message.format})"
    if encoding in DEPTH or "compressedDepth" in message.format:
        raise ContractError(f"{where}: a depth image; expected colors, as JPEG or PNG")
    return decode(message.data, where, is_gray_16_ok=encoding == "mono16")
