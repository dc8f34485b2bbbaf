"""What a policy and a controller read in messages, whoever read them: rclpy, or a bag's reader.

Messages are told by their fields alone, so that a bag takes the same way as what comes live.
"""

from __future__ import annotations

from math import isfinite
from typing import Any

import numpy as np

from asyncvla_ros.common.transforms import pose_to_state
from asyncvla_ros.data.camera_message import decode_image, resize
from asyncvla_ros.observe.stream_sync import Snapshot
from asyncvla_ros.robot.contract import JointStateSource, PoseSource, RobotContract
from asyncvla_ros.types import ContractError, FeatureContract, Observation

NS = 1_000_000_000


def to_ns(stamp: Any) -> int:
    """Return a time or duration message in nanoseconds."""
    return stamp.sec * NS + stamp.nanosec


def pose_state(message: Any, source: PoseSource, base_frame: str) -> np.ndarray:
    """Return (9,) float32, see ``transforms.pose_to_state``; ContractError for another frame or no rotation."""
    frame = message.header.frame_id
    if frame != base_frame:
        raise ContractError(f"{source.topic}: expected a pose in frame {base_frame}, found frame {frame!r}")
    position, q = message.pose.position, message.pose.orientation
    try:
        return pose_to_state(np.array([position.x, position.y, position.z]), np.array([q.x, q.y, q.z, q.w]))
    except ValueError as error:
        raise ContractError(f"{source.topic}: {error}") from error


def joint_state(message: Any, source: JointStateSource) -> np.ndarray:
    """Return (joints,) float32 positions [rad or m] in the order of ``source.joints``; all must be there."""
    positions = dict(zip(message.name, message.position, strict=False))
    missing = [joint for joint in source.joints if joint not in positions]
    if missing:
        found = ", ".join(positions) or "no positions"
        raise ContractError(f"{source.topic}: position of {', '.join(missing)} is missing; found {found}")
    return np.array([positions[joint] for joint in source.joints], np.float32)


def source_state(message: Any, source: JointStateSource | PoseSource, base_frame: str) -> np.ndarray:
    """Return (len(source.names),) float32, the part of the state that a message carries."""
    if isinstance(source, PoseSource):
        return pose_state(message, source, base_frame)
    return joint_state(message, source)


def finite_state(message: Any, source: JointStateSource | PoseSource, base_frame: str) -> np.ndarray:
    """As ``source_state``; ContractError also for what is not finite, with its names."""
    state = source_state(message, source, base_frame)
    broken = [
        f"{name} = {value}"
        for name, value in zip(source.names, state.tolist(), strict=True)
        if not isfinite(value)
    ]
    if broken:
        raise ContractError(f"{source.topic}: not finite: {', '.join(broken)}")
    return state


def to_observation(
    snapshot: Snapshot[Any], robot: RobotContract, features: FeatureContract, instruction: str
) -> Observation:
    """Return what the policy sees: decoded images in the checkpoint's sizes, and the state vector.

    Args:
        snapshot: One message per stream of ``robot.topics`` that the checkpoint uses.
        robot: Says which message becomes which part of the state.
        features: Cameras and their sizes.
        instruction: The task.

    Raises:
        ContractError: a message does not hold what the contract promises.
    """
    images = {
        camera.key: resize(decode_image(snapshot.values[camera.key], camera.key), camera.height, camera.width)
        for camera in features.cameras
    }
    return Observation(
        images=images,
        state=state_vector(snapshot, robot),
        instruction=instruction,
        stamp_ns=snapshot.stamp_ns,
    )


def state_vector(snapshot: Snapshot[Any], robot: RobotContract) -> np.ndarray:
    """Return (s,) float32, the state of a robot; ContractError if a message does not hold its part of it."""
    parts = [finite_state(snapshot.values[source.topic], source, robot.base_frame) for source in robot.state]
    return np.concatenate(parts)


def named_state(message: Any, source: JointStateSource | PoseSource, base_frame: str) -> dict[str, float]:
    """Return the state name to value, of the part of the state that a message carries."""
    values = source_state(message, source, base_frame)
    return dict(zip(source.names, values.tolist(), strict=True))
