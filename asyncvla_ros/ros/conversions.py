"""Messages to the package's own values and back; times are integer nanoseconds of the node clock."""

from __future__ import annotations

import array
from math import isfinite
from typing import Any

import numpy as np
from builtin_interfaces.msg import Duration, Time
from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import JointState

from asyncvla_msgs.msg import ActionChunk as ActionChunkMessage
from asyncvla_ros.common.transforms import pose_to_state
from asyncvla_ros.control.chunk import StampedChunk
from asyncvla_ros.observe.stream_sync import Snapshot
from asyncvla_ros.robot.contract import JointStateSource, PoseSource, RobotContract
from asyncvla_ros.ros.images import decode_image, resize
from asyncvla_ros.types import ContractError, FeatureContract, Observation

NS = 1_000_000_000


def to_ns(stamp: Time | Duration) -> int:
    """A time or duration message in nanoseconds."""
    return stamp.sec * NS + stamp.nanosec


def to_time(time_ns: int) -> Time:
    """A time message from nanoseconds."""
    return Time(sec=time_ns // NS, nanosec=time_ns % NS)


def to_duration(duration_ns: int) -> Duration:
    """A duration message from nanoseconds."""
    return Duration(sec=duration_ns // NS, nanosec=duration_ns % NS)


def floats(values: np.ndarray) -> array.array:
    """A float32[] field; assigned as an array it is not checked element by element."""
    return array.array("f", np.ascontiguousarray(values, np.float32).tobytes())


def pose_state(message: PoseStamped, source: PoseSource, base_frame: str) -> np.ndarray:
    """(9,) float32, see ``transforms.pose_to_state``; ContractError for another frame or no rotation."""
    frame = message.header.frame_id
    if frame != base_frame:
        raise ContractError(f"{source.topic}: expected a pose in frame {base_frame}, found frame {frame!r}")
    position, q = message.pose.position, message.pose.orientation
    try:
        return pose_to_state(np.array([position.x, position.y, position.z]), np.array([q.x, q.y, q.z, q.w]))
    except ValueError as error:
        raise ContractError(f"{source.topic}: {error}") from error


def joint_state(message: JointState, source: JointStateSource) -> np.ndarray:
    """(joints,) float32 positions [rad or m] in the order of ``source.joints``; all must be there."""
    positions = dict(zip(message.name, message.position, strict=False))
    missing = [joint for joint in source.joints if joint not in positions]
    if missing:
        found = ", ".join(positions) or "no positions"
        raise ContractError(f"{source.topic}: position of {', '.join(missing)} is missing; found {found}")
    return np.array([positions[joint] for joint in source.joints], np.float32)


def source_state(message: Any, source: JointStateSource | PoseSource, base_frame: str) -> np.ndarray:
    """(len(source.names),) float32, the part of the state that a message carries."""
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
    """What the policy sees: decoded images in the checkpoint's sizes, and the state vector.

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
    parts = [finite_state(snapshot.values[source.topic], source, robot.base_frame) for source in robot.state]
    return Observation(
        images=images, state=np.concatenate(parts), instruction=instruction, stamp_ns=snapshot.stamp_ns
    )


def chunk_to_message(chunk: StampedChunk, frame_id: str, latency_ns: int) -> ActionChunkMessage:
    """The message of a chunk whose actions are in physical units."""
    message = ActionChunkMessage(
        session_id=chunk.session_id,
        chunk_id=chunk.chunk_id,
        action_space=chunk.action_space,
        dof_names=list(chunk.dof_names),
        step=to_duration(chunk.step_ns),
        committed=chunk.committed,
        inference_latency=to_duration(latency_ns),
        instruction=chunk.instruction,
        unknown_words=list(chunk.unknown_words),
    )
    message.header.stamp = to_time(chunk.stamp_ns)
    message.header.frame_id = frame_id
    message.actions = floats(chunk.actions)
    if chunk.confidence is not None:
        message.confidence = floats(chunk.confidence)
    if chunk.refined is not None:
        message.refined = chunk.refined.tolist()
    return message


def chunk_from_message(message: ActionChunkMessage) -> StampedChunk:
    """A chunk as received. Actions that fill no matrix stay flat; ``check_chunk`` rejects them."""
    actions = np.array(message.actions, np.float32)
    dofs = len(message.dof_names)
    if dofs and actions.size % dofs == 0:
        actions = actions.reshape(-1, dofs)
    return StampedChunk(
        session_id=message.session_id,
        chunk_id=message.chunk_id,
        stamp_ns=to_ns(message.header.stamp),
        step_ns=to_ns(message.step),
        action_space=message.action_space,
        dof_names=tuple(message.dof_names),
        actions=actions,
        confidence=np.array(message.confidence, np.float32) if message.confidence else None,
        refined=np.array(message.refined, bool) if message.refined else None,
        committed=message.committed,
        instruction=message.instruction,
        unknown_words=tuple(message.unknown_words),
    )


def named_state(message: Any, source: JointStateSource | PoseSource, base_frame: str) -> dict[str, float]:
    """State name to value, of the part of the state that a message carries."""
    values = source_state(message, source, base_frame)
    return dict(zip(source.names, values.tolist(), strict=True))
