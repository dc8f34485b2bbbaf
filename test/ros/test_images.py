"""Camera messages of every kind, right and wrong, to pictures or to one clear error."""

from __future__ import annotations

import array
import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sensor_msgs.msg import CompressedImage, Image

from asyncvla_ros.data.camera_message import SUPPORTED, decode_image, resize
from asyncvla_ros.data.encoded_image import MAX_PIXELS
from asyncvla_ros.types import ContractError

pytestmark = pytest.mark.ros

# Red, green, blue, gray in the four quadrants: a wrong channel order or a shifted row shows.
COLORS = np.array([[[250, 10, 20], [10, 240, 30]], [[20, 30, 230], [120, 120, 120]]], np.uint8)
RGB = np.kron(COLORS, np.ones((8, 8, 1), np.uint8))


def _image(pixels: np.ndarray, encoding: str, padding: int = 0, *, big: bool = False) -> Image:
    """Make a message with ``padding`` random bytes at the end of each row."""
    order = pixels.astype(pixels.dtype.newbyteorder(">" if big else "<"))
    rows = np.frombuffer(order.tobytes(), np.uint8).reshape(len(pixels), -1)
    padded = np.pad(rows, ((0, 0), (0, padding)), constant_values=199)
    message = Image(height=pixels.shape[0], width=pixels.shape[1], encoding=encoding, is_bigendian=int(big))
    message.step = padded.shape[1]
    message.data = array.array("B", padded.tobytes())
    return message


def _mosaic(pattern: str) -> np.ndarray:
    """(h, w) raw sensor values; ``pattern`` names the colors of the first two by two pixels row by row."""
    mosaic = np.zeros(RGB.shape[:2], np.uint8)
    for position, color in enumerate(pattern):
        row, column = divmod(position, 2)
        mosaic[row::2, column::2] = RGB[row::2, column::2, "rgb".index(color)]
    return mosaic


def _uyvy(*, y_first: bool) -> np.ndarray:
    """(h, w, 2) 4:2:2 with ITU-R 601 coefficients; the colors of RGB change at even columns only."""
    r, g, b = (RGB[..., i].astype(np.float32) for i in range(3))
    luma = 16 + 0.257 * r + 0.504 * g + 0.098 * b
    u = 128 - 0.148 * r - 0.291 * g + 0.439 * b
    v = 128 + 0.439 * r - 0.368 * g - 0.071 * b
    chroma = np.where(np.arange(RGB.shape[1]) % 2 == 0, u, v)
    pair = (luma, chroma) if y_first else (chroma, luma)
    return np.stack(pair, axis=-1).round().astype(np.uint8)


GRAY = np.repeat(cv2.cvtColor(RGB, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
WIDE = RGB.astype(np.uint16) << 8
ALPHA = np.full((*RGB.shape[:2], 1), 255, np.uint8)
ENCODED = {
    "rgb8": (RGB, RGB, 0),
    "bgr8": (RGB[..., ::-1], RGB, 0),
    "8UC3": (RGB[..., ::-1], RGB, 0),
    "rgba8": (np.concatenate([RGB, ALPHA], 2), RGB, 0),
    "bgra8": (np.concatenate([RGB[..., ::-1], ALPHA], 2), RGB, 0),
    "8UC4": (np.concatenate([RGB[..., ::-1], ALPHA], 2), RGB, 0),
    "mono8": (GRAY[..., 0], GRAY, 0),
    "8UC1": (GRAY[..., 0], GRAY, 0),
    "mono16": (GRAY[..., 0].astype(np.uint16) << 8, GRAY, 0),
    "rgb16": (WIDE, RGB, 0),
    "bgr16": (WIDE[..., ::-1], RGB, 0),
    "rgba16": (np.concatenate([WIDE, WIDE[..., :1]], 2), RGB, 0),
    "bgra16": (np.concatenate([WIDE[..., ::-1], WIDE[..., :1]], 2), RGB, 0),
    "yuv422": (_uyvy(y_first=False), RGB, 4),
    "uyvy": (_uyvy(y_first=False), RGB, 4),
    "yuv422_yuy2": (_uyvy(y_first=True), RGB, 4),
    "yuyv": (_uyvy(y_first=True), RGB, 4),
    **{f"bayer_{p}8": (_mosaic(p), RGB, 2) for p in ("rggb", "bggr", "gbrg", "grbg")},
    **{f"bayer_{p}16": (_mosaic(p).astype(np.uint16) << 8, RGB, 2) for p in ("rggb", "bggr", "gbrg", "grbg")},
}
INNER = (slice(2, 6), slice(2, 6))


def test_the_table_covers_what_is_supported():
    assert set(ENCODED) == set(SUPPORTED)


@pytest.mark.parametrize("padding", [0, 6])
@pytest.mark.parametrize("encoding", ENCODED)
def test_every_encoding_with_and_without_row_padding(encoding, padding):
    pixels, expected, tolerance = ENCODED[encoding]
    decoded = decode_image(_image(pixels, encoding, padding), "wrist")
    assert decoded.dtype == np.uint8 and decoded.shape == RGB.shape
    for row in (0, 8):
        for column in (0, 8):
            # Away from edges, where demosaicing mixes neighbors.
            area = (slice(row + 2, row + 6), slice(column + 2, column + 6))
            np.testing.assert_allclose(decoded[area].astype(int), expected[area].astype(int), atol=tolerance)


@pytest.mark.parametrize("encoding", ["mono16", "rgb16", "bayer_rggb16"])
def test_big_endian(encoding):
    pixels, expected, tolerance = ENCODED[encoding]
    decoded = decode_image(_image(pixels, encoding, padding=2, big=True), "wrist")
    np.testing.assert_allclose(decoded[INNER].astype(int), expected[INNER].astype(int), atol=tolerance)


@pytest.mark.parametrize("encoding", ["16UC1", "32FC1", "nv12", "", "rgb", "RGB8"])
def test_unsupported_encodings_are_one_clear_error(encoding):
    with pytest.raises(
        ContractError, match=r"camera wrist: encoding .* is not supported; the choices are mono8"
    ):
        decode_image(_image(np.zeros((4, 4, 4), np.uint8), encoding), "wrist")


def test_depth_is_called_depth():
    with pytest.raises(ContractError, match=r"'16UC1' .a depth image. is not supported"):
        decode_image(_image(np.zeros((4, 4), np.uint16), "16UC1"), "wrist")


@pytest.mark.parametrize("changes", [{"height": 99}, {"width": 99}, {"step": 3}, {"height": 0}])
def test_messages_that_contradict_themselves(changes):
    message = _image(RGB, "rgb8")
    for field, value in changes.items():
        setattr(message, field, value)
    with pytest.raises(ContractError, match=r"camera wrist: 768 bytes with rows of .* cannot hold"):
        decode_image(message, "wrist")


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("gray", [False, True])
def test_compressed(suffix, gray):
    picture = GRAY[..., 0] if gray else RGB[..., ::-1]
    encoded = cv2.imencode(suffix, picture, [cv2.IMWRITE_JPEG_QUALITY, 100])[1]
    message = CompressedImage(
        format=f"bgr8; {suffix[1:]} compressed", data=array.array("B", encoded.tobytes())
    )
    decoded = decode_image(message, "wrist")
    np.testing.assert_allclose(decoded[INNER].astype(int), (GRAY if gray else RGB)[INNER].astype(int), atol=6)


@pytest.mark.parametrize("data", [b"", b"no picture"])
def test_corrupt_compressed(data):
    message = CompressedImage(format="jpeg", data=array.array("B", data))
    with pytest.raises(ContractError, match=r"camera wrist .jpeg.: .* bytes do not decode"):
        decode_image(message, "wrist")


def test_resize_averages():
    halved = resize(RGB, 8, 4)
    assert halved.shape == (8, 4, 3)
    assert (halved[0, 0] == RGB[0, 0]).all() and (halved[-1, -1] == RGB[-1, -1]).all()
    assert resize(RGB, 16, 16) is RGB


@pytest.mark.parametrize("encoding", ["yuv422", "yuyv"])
def test_an_odd_width_has_no_pairs_of_pixels(encoding):
    with pytest.raises(ContractError, match=r"camera wrist: .* the width must be even, found 15"):
        decode_image(_image(np.zeros((4, 15, 2), np.uint8), encoding), "wrist")


def test_a_large_raw_picture_is_refused():
    message = Image(width=2**16, height=2**16, step=2**16, encoding="mono8")
    with pytest.raises(
        ContractError, match=f"65536x65536 has 4294967296 pixels, expected at most {MAX_PIXELS}"
    ):
        decode_image(message, "wrist")


def _compressed(data: bytes, format_: str = "jpeg") -> CompressedImage:
    return CompressedImage(format=format_, data=array.array("B", data))


def _encoded(suffix: str, picture: np.ndarray = RGB) -> bytes:
    return cv2.imencode(suffix, picture)[1].tobytes()


def _claiming(suffix: str, width: int, height: int) -> bytes:
    """Make a small picture whose header claims another size."""
    data = bytearray(_encoded(suffix))
    if suffix == ".png":
        data[16:24] = struct.pack(">II", width, height)
        data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
        return bytes(data)
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(data)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("size", [(65500, 65500), (2**13, 2**13)])
def test_the_size_that_a_header_claims_is_bounded_before_memory_is_taken(suffix, size):
    with pytest.raises(ContractError, match=r"camera wrist .*(at most|do not decode)"):
        decode_image(_compressed(_claiming(suffix, *size)), "wrist")


DEPTH = np.full((4, 4), 1234, np.uint16)


@pytest.mark.parametrize(
    "format_", ["16UC1; png compressed", "16UC1; compressedDepth png", "32FC1; png", "png", ""]
)
def test_depth_is_refused_when_compressed_too(format_):
    with pytest.raises(ContractError, match="depth image"):
        decode_image(_compressed(_encoded(".png", DEPTH), format_), "wrist")


def test_a_png_that_says_mono16_is_gray():
    picture = decode_image(_compressed(_encoded(".png", DEPTH), "mono16; png compressed"), "wrist")
    assert picture.shape == (4, 4, 3) and np.unique(picture).tolist() == [1234 >> 8]


def test_other_kinds_are_named_as_what_they_are_not():
    with pytest.raises(ContractError, match=r"camera wrist .bmp.: .* do not decode; expected JPEG or PNG"):
        decode_image(_compressed(_encoded(".bmp"), "bmp"), "wrist")


def decodes_or_says_why(message: Image | CompressedImage) -> None:
    try:
        picture = decode_image(message, "wrist")
    except ContractError as error:
        assert str(error).startswith("camera wrist")
    else:
        assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3


SIZES = st.one_of(st.integers(0, 40), st.sampled_from([2**16, 2**31, 2**32 - 1]))


@settings(max_examples=300, derandomize=True, deadline=None)
@given(
    SIZES,
    SIZES,
    SIZES,
    st.sampled_from([*SUPPORTED, "16UC1", "nv12", ""]),
    st.booleans(),
    st.binary(max_size=4096),
)
def test_whatever_a_raw_message_claims(width, height, step, encoding, is_bigendian, data):
    message = Image(width=width, height=height, step=step, encoding=encoding, is_bigendian=int(is_bigendian))
    message.data = array.array("B", data)
    decodes_or_says_why(message)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(
    st.sampled_from([_encoded(".png"), _encoded(".jpg"), _encoded(".png", DEPTH)]),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=8),
    st.integers(0, 2000),
    st.sampled_from(["jpeg", "png", "rgb8; jpeg compressed bgr8", "mono16; png", ";;", "\u00e9"]),
)
def test_whatever_a_compressed_message_holds(data, changes, length, format_):
    spoiled = bytearray(data)
    for place, value in changes:
        spoiled[place % len(spoiled)] = value
    decodes_or_says_why(_compressed(bytes(spoiled[: length or None]), format_))
