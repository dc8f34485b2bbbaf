"""A command as the messages that robots obey; nothing here knows a node.

Every conversion takes an output's ``OutputValues``, the command, and ``now_ns``: the node clock at the moment
of the command [ns].
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
from asyncvla_ros.control.types import Command
from asyncvla_ros.ros.conversions import to_duration, to_time
from asyncvla_ros.types import ContractError, RunError

Convert = Callable[[OutputValues, Command, int], Any]


def joint_trajectory(output: OutputValues, command: Command, now_ns: int) -> JointTrajectory:
    """Return a trajectory that joint_trajectory_controller follows exactly and that ends at rest.

    ::

        now ─────────── now + period ────────────────────── rest
        as sent before │ towards the goal │ the quickest stop

    It begins at the moment of the command, so it has begun when it arrives: the controller is on it at once,
    whatever it takes for its state before, and what it was on before is the same curve until one command
    period from now. Should no further command come, the arm brakes two periods later, within its limits.
    """
    points = output.waypoints(command)
    message = JointTrajectory(joint_names=list(output.output.joints))
    message.header.stamp = to_time(now_ns)
    message.points = [
        JointTrajectoryPoint(
            positions=position, velocities=velocity, accelerations=acceleration,
            time_from_start=to_duration(time_ns),
        )
        for time_ns, position, velocity, acceleration in zip(
            points.times_ns.tolist(), points.positions.tolist(), points.velocities.tolist(),
            points.accelerations.tolist(), strict=True,
        )
    ]  # fmt: skip
    return message


def forward_position(output: OutputValues, command: Command, now_ns: int) -> Float64MultiArray:
    """Return joint positions for a forward or position controller, which never times out."""
    return Float64MultiArray(data=output.position(_values(command)).tolist())


def forward_velocity(output: OutputValues, command: Command, now_ns: int) -> Float64MultiArray:
    """Return joint velocities for a forward or velocity controller; 0 for a hold."""
    return Float64MultiArray(data=output.rate(_values(command)).tolist())


def twist(output: OutputValues, command: Command, now_ns: int) -> TwistStamped:
    """Return the end effector's velocity in the base frame [m/s, rad/s], ``speed_units`` of MoveIt Servo."""
    rates = output.rate(_values(command)).tolist()
    message = TwistStamped()
    message.header.stamp, message.header.frame_id = to_time(now_ns), output.frame
    for vector, numbers in ((message.twist.linear, rates[:3]), (message.twist.angular, rates[3:])):
        vector.x, vector.y, vector.z = numbers
    return message


def pose(output: OutputValues, command: Command, now_ns: int) -> PoseStamped:
    """Return the commanded pose of the end effector in the base frame.

    Raises:
        RunError: the values say no orientation.
    """
    try:
        position, quat_xyzw = state_to_pose(output.raw(_values(command)))
    except ValueError as error:
        raise RunError(f"no pose to command: {error}") from error
    message = PoseStamped()
    message.header.stamp, message.header.frame_id = to_time(now_ns), output.frame
    target, orientation = message.pose.position, message.pose.orientation
    target.x, target.y, target.z = position.tolist()
    orientation.x, orientation.y, orientation.z, orientation.w = quat_xyzw.tolist()
    return message


def _values(command: Command) -> np.ndarray:
    assert command.values is not None
    return command.values


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
    """Return the action type of a gripper adapter.

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
    """Return the goal that moves a gripper to ``position`` [m or rad] with the contract's effort.

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
