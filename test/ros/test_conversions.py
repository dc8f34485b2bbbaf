"""Messages to values and back, without any process."""

from __future__ import annotations

import array

import cv2
import numpy as np
import pytest
from builtin_interfaces.msg import Time
from sensor_msgs.msg import CompressedImage, Image, JointState

from asyncvla_msgs.msg import ControllerStatus
from asyncvla_ros.control.safety import RejectReason, check_chunk
from asyncvla_ros.control.types import Mode, Reason
from asyncvla_ros.observe.stream_sync import Snapshot
from asyncvla_ros.robot.contract import JointStateSource, PoseSource
from asyncvla_ros.ros import conversions
from asyncvla_ros.ros.images import SUPPORTED, decode_image, resize
from asyncvla_ros.types import ContractError
from support.contracts import chunk, libero_features, libero_panda
from support.robot_peer import image_message, joint_message, pose_message

pytestmark = pytest.mark.ros

# Red, green, blue, grey in the four quadrants: a wrong channel order or a shifted row shows.
COLOURS = np.array([[[250, 10, 20], [10, 240, 30]], [[20, 30, 230], [120, 120, 120]]], np.uint8)
RGB = np.kron(COLOURS, np.ones((8, 8, 1), np.uint8))


def _image(pixels: np.ndarray, encoding: str, padding: int = 0, big: bool = False) -> Image:
    """A message with ``padding`` bytes of rubbish at the end of each row."""
    order = pixels.astype(pixels.dtype.newbyteorder(">" if big else "<"))
    rows = np.frombuffer(order.tobytes(), np.uint8).reshape(len(pixels), -1)
    padded = np.pad(rows, ((0, 0), (0, padding)), constant_values=199)
    message = Image(height=pixels.shape[0], width=pixels.shape[1], encoding=encoding, is_bigendian=int(big))
    message.step = padded.shape[1]
    message.data = array.array("B", padded.tobytes())
    return message


def _mosaic(pattern: str) -> np.ndarray:
    """(h, w) raw sensor values; ``pattern`` names the colours of the first two by two pixels row by row."""
    mosaic = np.zeros(RGB.shape[:2], np.uint8)
    for position, colour in enumerate(pattern):
        row, column = divmod(position, 2)
        mosaic[row::2, column::2] = RGB[row::2, column::2, "rgb".index(colour)]
    return mosaic


def _uyvy(y_first: bool) -> np.ndarray:
    """(h, w, 2) 4:2:2 with ITU-R 601 coefficients; the colours of RGB change at even columns only."""
    r, g, b = (RGB[..., i].astype(np.float32) for i in range(3))
    luma = 16 + 0.257 * r + 0.504 * g + 0.098 * b
    u = 128 - 0.148 * r - 0.291 * g + 0.439 * b
    v = 128 + 0.439 * r - 0.368 * g - 0.071 * b
    chroma = np.where(np.arange(RGB.shape[1]) % 2 == 0, u, v)
    pair = (luma, chroma) if y_first else (chroma, luma)
    return np.stack(pair, axis=-1).round().astype(np.uint8)


GREY = np.repeat(cv2.cvtColor(RGB, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
WIDE = RGB.astype(np.uint16) << 8
ALPHA = np.full((*RGB.shape[:2], 1), 255, np.uint8)
ENCODED = {
    "rgb8": (RGB, RGB, 0),
    "bgr8": (RGB[..., ::-1], RGB, 0),
    "8UC3": (RGB[..., ::-1], RGB, 0),
    "rgba8": (np.concatenate([RGB, ALPHA], 2), RGB, 0),
    "bgra8": (np.concatenate([RGB[..., ::-1], ALPHA], 2), RGB, 0),
    "8UC4": (np.concatenate([RGB[..., ::-1], ALPHA], 2), RGB, 0),
    "mono8": (GREY[..., 0], GREY, 0),
    "8UC1": (GREY[..., 0], GREY, 0),
    "mono16": (GREY[..., 0].astype(np.uint16) << 8, GREY, 0),
    "rgb16": (WIDE, RGB, 0),
    "bgr16": (WIDE[..., ::-1], RGB, 0),
    "rgba16": (np.concatenate([WIDE, WIDE[..., :1]], 2), RGB, 0),
    "bgra16": (np.concatenate([WIDE[..., ::-1], WIDE[..., :1]], 2), RGB, 0),
    "yuv422": (_uyvy(False), RGB, 4),
    "uyvy": (_uyvy(False), RGB, 4),
    "yuv422_yuy2": (_uyvy(True), RGB, 4),
    "yuyv": (_uyvy(True), RGB, 4),
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
            # Away from edges, where demosaicing mixes neighbours.
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
@pytest.mark.parametrize("grey", [False, True])
def test_compressed(suffix, grey):
    picture = GREY[..., 0] if grey else RGB[..., ::-1]
    encoded = cv2.imencode(suffix, picture, [cv2.IMWRITE_JPEG_QUALITY, 100])[1]
    message = CompressedImage(
        format=f"bgr8; {suffix[1:]} compressed", data=array.array("B", encoded.tobytes())
    )
    decoded = decode_image(message, "wrist")
    np.testing.assert_allclose(decoded[INNER].astype(int), (GREY if grey else RGB)[INNER].astype(int), atol=6)


@pytest.mark.parametrize("data", [b"", b"no picture"])
def test_corrupt_compressed(data):
    message = CompressedImage(format="jpeg", data=array.array("B", data))
    with pytest.raises(ContractError, match=r"camera wrist: .* bytes of format 'jpeg' do not decode"):
        decode_image(message, "wrist")


def test_resize_averages():
    halved = resize(RGB, 8, 4)
    assert halved.shape == (8, 4, 3)
    assert (halved[0, 0] == RGB[0, 0]).all() and (halved[-1, -1] == RGB[-1, -1]).all()
    assert resize(RGB, 16, 16) is RGB


def test_times():
    for ns in (0, 1, 10**18 + 7, -1, -(10**9) - 3):
        assert conversions.to_ns(conversions.to_duration(ns)) == ns
    assert conversions.to_time(1_500_000_000) == Time(sec=1, nanosec=500_000_000)


def test_observation_in_the_order_of_the_contract():
    values = {
        "agentview": image_message(5, brightness=10),
        "wrist": image_message(5, brightness=20),
        "ee_pose": pose_message(5),
        "joint_states": joint_message(5),
    }
    snapshot = Snapshot(values=values, stamp_ns=5, skew_ns=0)
    seen = conversions.to_observation(snapshot, libero_panda(), libero_features(), "lift")
    assert (seen.stamp_ns, seen.instruction) == (5, "lift")
    assert [int(seen.images[key].mean()) for key in ("agentview", "wrist")] == [10, 20]
    assert seen.images["wrist"].shape == (224, 224, 3)
    expected = [0.1, 0.2, 0.3, 1, 0, 0, 0, 1, 0, 0.02, -0.02]
    np.testing.assert_allclose(seen.state, expected, atol=1e-7)
    named = conversions.named_state(values["joint_states"], libero_panda().state[1], "panda_link0")
    assert named == pytest.approx({"finger_left": 0.02, "finger_right": -0.02})


def test_joints_are_found_by_name():
    source = JointStateSource("joint_states", ("b", "a"), ("first", "second"))
    message = JointState(name=["a", "b", "c"], position=[1.0, 2.0, 3.0])
    assert conversions.joint_state(message, source).tolist() == [2.0, 1.0]
    with pytest.raises(ContractError, match="joint_states: position of b is missing; found a"):
        conversions.joint_state(JointState(name=["a"], position=[1.0]), source)
    with pytest.raises(ContractError, match="position of b, a is missing; found no positions"):
        conversions.joint_state(JointState(name=["a", "b"], velocity=[1.0, 1.0]), source)


def test_poses_must_be_in_the_base_frame_and_rotations():
    source = PoseSource("ee_pose", tuple("abcdefghi"))
    message = pose_message(0)
    with pytest.raises(ContractError, match="expected a pose in frame base_link, found frame 'panda_link0'"):
        conversions.pose_state(message, source, "base_link")
    message.pose.orientation.w = 0.0
    with pytest.raises(ContractError, match="ee_pose: expected a finite quaternion"):
        conversions.pose_state(message, source, "panda_link0")


def test_chunks_survive_the_wire():
    sent = chunk(
        3,
        10**18,
        confidence=np.linspace(0, 1, 8, dtype=np.float32),
        refined=np.arange(8) > 3,
        instruction="lift",
    )
    message = conversions.chunk_to_message(sent, "panda_link0", latency_ns=50_000_000)
    assert message.header.frame_id == "panda_link0" and message.inference_latency.nanosec == 50_000_000
    received = conversions.chunk_from_message(message)
    for name, value in vars(sent).items():
        np.testing.assert_array_equal(getattr(received, name), value, err_msg=name)


def test_a_chunk_without_rater_and_one_of_no_shape():
    message = conversions.chunk_to_message(chunk(), "panda_link0", 0)
    received = conversions.chunk_from_message(message)
    assert received.confidence is None and received.refined is None
    message.actions = message.actions[:-1]
    rejection = check_chunk(conversions.chunk_from_message(message), libero_panda(), 0)
    assert rejection is not None and rejection.reason is RejectReason.WRONG_SHAPE


def test_modes_and_reasons_are_those_of_the_message():
    for kind, prefix in ((Mode, "MODE_"), (Reason, "REASON_")):
        for member in kind:
            assert getattr(ControllerStatus, prefix + member.name) == member.value
