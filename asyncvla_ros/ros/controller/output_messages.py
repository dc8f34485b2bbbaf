"""A command as the messages that robots obey; nothing here knows a node.

Every conversion takes an output's ``OutputValues``, the command and the time::

    values      (d,) in contract order: targets for the next command's time, or changes until then
    velocity    (d,) of the targets when they are reached [unit/s], None: unknown
    now_ns      node clock [ns]
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped, TwistStamped
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from asyncvla_ros.common.transforms import state_to_pose
from asyncvla_ros.control.output_values import OutputValues
from asyncvla_ros.ros.conversions import to_duration, to_time
from asyncvla_ros.types import ContractError, RunError

Convert = Callable[[OutputValues, np.ndarray, np.ndarray | None, int], Any]


def joint_trajectory(
    output: OutputValues, values: np.ndarray, velocity: np.ndarray | None, now_ns: int
) -> JointTrajectory:
    """A trajectory that joint_trajectory_controller accepts, and that stops by itself.

    ::

        now ───────── now + period ───────── now + 2 periods ───────── now + 2 periods + T
        (where it is)  (position, velocity)   (further on, velocity)    (rest, 0)

    The next command comes before the second point is due and replaces the rest. One that is late by less than
    a period finds the arm going on at its velocity; only when the commands cease it brakes. Where a limit
    is near it brakes at once. The controller splices nothing: it goes from where it is to the first point.
    Without a velocity the arm comes to rest at each target, since positions alone would be joined by straight
    lines with jumps of the velocity between them.
    """
    position = output.position(values)
    speed = np.zeros_like(position) if velocity is None else output.velocity(velocity)
    message = JointTrajectory(joint_names=list(output.output.joints))
    message.header.stamp = to_time(now_ns)
    time_ns = output.period_ns
    message.points = [_point(position, speed, time_ns)]
    further = position + speed * (output.period_ns / 1e9)
    if speed.any() and output.is_inside(further):
        position, time_ns = further, time_ns + output.period_ns
        message.points.append(_point(position, speed, time_ns))
    stopped, brake_ns = output.rest(position, speed)
    message.points.append(_point(stopped, np.zeros_like(stopped), time_ns + brake_ns))
    return message


def _point(position: np.ndarray, velocity: np.ndarray, time_ns: int) -> JointTrajectoryPoint:
    return JointTrajectoryPoint(
        positions=position.tolist(), velocities=velocity.tolist(), time_from_start=to_duration(time_ns)
    )


def forward_position(
    output: OutputValues, values: np.ndarray, velocity: np.ndarray | None, now_ns: int
) -> Float64MultiArray:
    """Joint positions for a forward or position controller, which obeys them at once and never times out."""
    return Float64MultiArray(data=output.position(values).tolist())


def forward_velocity(
    output: OutputValues, values: np.ndarray, velocity: np.ndarray | None, now_ns: int
) -> Float64MultiArray:
    """Joint velocities for a forward or velocity controller; a hold, being no change, is zero."""
    return Float64MultiArray(data=output.rate(values).tolist())


def twist(output: OutputValues, values: np.ndarray, velocity: np.ndarray | None, now_ns: int) -> TwistStamped:
    """Velocity of the end effector in the base frame [m/s, rad/s]; MoveIt Servo in ``speed_units``."""
    rates = output.rate(values).tolist()
    message = TwistStamped()
    message.header.stamp, message.header.frame_id = to_time(now_ns), output.frame
    for vector, numbers in ((message.twist.linear, rates[:3]), (message.twist.angular, rates[3:])):
        vector.x, vector.y, vector.z = numbers
    return message


def pose(output: OutputValues, values: np.ndarray, velocity: np.ndarray | None, now_ns: int) -> PoseStamped:
    """Target pose of the end effector in the base frame.

    Raises:
        RunError: the values say no orientation.
    """
    try:
        position, quat_xyzw = state_to_pose(output.raw(values))
    except ValueError as error:
        raise RunError(f"no pose to command: {error}") from error
    message = PoseStamped()
    message.header.stamp, message.header.frame_id = to_time(now_ns), output.frame
    target, orientation = message.pose.position, message.pose.orientation
    target.x, target.y, target.z = position.tolist()
    orientation.x, orientation.y, orientation.z, orientation.w = quat_xyzw.tolist()
    return message


# Adapters that publish one message per command: its type and its conversion.
TOPIC_ADAPTERS: dict[str, tuple[type, Convert]] = {
    "joint_trajectory": (JointTrajectory, joint_trajectory),
    "forward_position": (Float64MultiArray, forward_position),
    "forward_velocity": (Float64MultiArray, forward_velocity),
    "twist": (TwistStamped, twist),
    "pose": (PoseStamped, pose),
}
ACTION_ADAPTERS = {
    "gripper_command": "GripperCommand",
    "parallel_gripper_command": "ParallelGripperCommand",
}


def gripper_action(adapter: str) -> Any:
    """The action type of a gripper adapter.

    Raises:
        ContractError: control_msgs is not installed, or too old to have it.
    """
    name = ACTION_ADAPTERS[adapter]
    try:
        return getattr(importlib.import_module("control_msgs.action"), name)
    except (ImportError, AttributeError) as error:
        raise ContractError(
            f"output {adapter} needs control_msgs/action/{name}, which is not there ({error}); install the "
            "package control_msgs (ros-$ROS_DISTRO-control-msgs), or choose joint_trajectory or "
            "forward_position for the gripper"
        ) from error


def gripper_goal(action: Any, output: OutputValues, position: float) -> Any:
    """The goal that moves a gripper to ``position`` [m or rad] with the contract's effort.

    Args:
        action: What ``gripper_action`` returned.
        output: Joint and effort.
        position: Of the gripper's joint.
    """
    goal = action.Goal()
    effort = output.output.max_effort
    if output.output.adapter == "gripper_command":
        goal.command.position, goal.command.max_effort = position, effort
        return goal
    goal.command.name, goal.command.position = list(output.output.joints), [position]
    if effort:
        goal.command.effort = [effort]
    return goal
