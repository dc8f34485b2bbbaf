"""Converts messages to the package's own values and back; times are integer nanoseconds of the node clock."""

from __future__ import annotations

import array

import numpy as np
from builtin_interfaces.msg import Duration, Time

from asyncvla_msgs.msg import ActionChunk as ActionChunkMessage
from asyncvla_ros.control.chunk import StampedChunk
from asyncvla_ros.data.message_content import NS, to_ns


def to_time(time_ns: int) -> Time:
    """Return the time message of ``time_ns`` [ns]."""
    return Time(sec=time_ns // NS, nanosec=time_ns % NS)


def to_duration(duration_ns: int) -> Duration:
    """Return the duration message of ``duration_ns`` [ns]."""
    return Duration(sec=duration_ns // NS, nanosec=duration_ns % NS)


def floats(values: np.ndarray) -> array.array:
    """Convert numbers to a float32[] field, as an array: rclpy checks a list element by element."""
    return array.array("f", np.ascontiguousarray(values, np.float32).tobytes())


def chunk_to_message(chunk: StampedChunk, frame_id: str, latency_ns: int) -> ActionChunkMessage:
    """Convert a chunk, whose actions are in physical units, to its message.

    Args:
        chunk: What is sent.
        frame_id: Base frame of the robot.
        latency_ns: Wall time of the inference [ns].
    """
    message = ActionChunkMessage(
        session_id=chunk.session_id,
        chunk_id=chunk.chunk_id,
        action_space=chunk.action_space,
        dof_names=list(chunk.dof_names),
        step=to_duration(chunk.action_period_ns),
        begin=to_time(chunk.begin_ns),
        committed=chunk.n_frozen,
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
    """Convert a message to the chunk it holds.

    Actions that do not fill a (length, dofs) matrix stay flat; ``check_chunk`` rejects them.
    """
    actions = np.array(message.actions, np.float32)
    dofs = len(message.dof_names)
    if dofs and actions.size % dofs == 0:
        actions = actions.reshape(-1, dofs)
    stamp_ns = to_ns(message.header.stamp)
    return StampedChunk(
        session_id=message.session_id,
        chunk_id=message.chunk_id,
        stamp_ns=stamp_ns,
        action_period_ns=to_ns(message.step),
        action_space=message.action_space,
        dof_names=tuple(message.dof_names),
        actions=actions,
        confidence=np.array(message.confidence, np.float32) if message.confidence else None,
        refined=np.array(message.refined, bool) if message.refined else None,
        n_frozen=message.committed,
        instruction=message.instruction,
        unknown_words=tuple(message.unknown_words),
        # A publisher that knows no plan before leaves it out.
        offset_ns=(to_ns(message.begin) or stamp_ns) - stamp_ns,
    )
