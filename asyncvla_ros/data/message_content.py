"""Content of messages for a policy and a controller, live or from a bag.

The code reads only fields of messages, so that messages of a bag take the same path as live ones.
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
    """Convert a time or duration message to nanoseconds."""
    return stamp.sec * NS + stamp.nanosec


def pose_state(message: Any, source: PoseSource, base_frame: str) -> np.ndarray:
    """Return the pose (9,) float32 of ``pose_to_state``; ContractError for another frame or no rotation."""
    frame = message.header.frame_id
    if frame != base_frame:
        raise ContractError(f"{source.topic}: expected a pose in frame {base_frame}, found frame {frame!r}")
    position, q = message.pose.position, message.pose.orientation
    try:
        return pose_to_state(np.array([position.x, position.y, position.z]), np.array([q.x, q.y, q.z, q.w]))
    except ValueError as error:
        raise ContractError(f"{source.topic}: {error}") from error


def joint_state(message: Any, source: JointStateSource) -> np.ndarray:
    """Return positions (joints,) float32 [rad or m] in the order of ``source.joints``, all required."""
    positions = dict(zip(message.name, message.position, strict=False))
    missing = [joint for joint in source.joints if joint not in positions]
    if missing:
        found = ", ".join(positions) or "no positions"
        raise ContractError(f"{source.topic}: position of {', '.join(missing)} is missing; found {found}")
    return np.array([positions[joint] for joint in source.joints], np.float32)


def source_state(message: Any, source: JointStateSource | PoseSource, base_frame: str) -> np.ndarray:
    """Return the part of the state in a message, (len(source.names),) float32."""
    if isinstance(source, PoseSource):
        return pose_state(message, source, base_frame)
    return joint_state(message, source)


def finite_state(message: Any, source: JointStateSource | PoseSource, base_frame: str) -> np.ndarray:
    """Return ``source_state``; ContractError also names values that are not finite."""
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
    """Build an observation: decoded images in the checkpoint's sizes, and the state vector.

    Args:
        snapshot: One message per stream of ``robot.topics`` that the checkpoint uses.
        robot: Maps messages to parts of the state.
        features: Cameras and their sizes.
        instruction: The task.

    Raises:
        ContractError: a message does not have the content that the contract declares.
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
    """Return the state (s,) float32 of a robot; ContractError if a message lacks its part of it."""
    parts = [finite_state(snapshot.values[source.topic], source, robot.base_frame) for source in robot.state]
    return np.concatenate(parts)


def named_state(message: Any, source: JointStateSource | PoseSource, base_frame: str) -> dict[str, float]:
    """Return the part of the state in a message, by state name."""
    values = source_state(message, source, base_frame)
    return dict(zip(source.names, values.tolist(), strict=True))
