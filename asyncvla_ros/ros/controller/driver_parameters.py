"""What the parameters of a joint_trajectory_controller mean for the trajectories that are sent to it.

Read in ``joint_trajectory_controller.cpp``, ``trajectory.cpp`` and the file of its parameters, branches
humble to master of github.com/ros-controls/ros2_controllers. A trajectory of ours has begun when it arrives,
and ends at rest a second later or more. So nothing depends on ``interpolate_from_desired_state``
(``open_loop_control``), which is about the time before its first point; nor on
``allow_nonzero_velocity_at_trajectory_end``; nor on ``constraints.goal_time`` and ``cmd_timeout``, which
count from its end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.srv import GetParameters, ListParameters
from rclpy.parameter import Parameter

from asyncvla_ros.robot.contract import Output, RobotContract
from asyncvla_ros.robot.motion_limits import following_limit
from asyncvla_ros.ros.side_node import side_node

# The graph has no event for a service that appears: look so often [s].
_LOOK_PERIOD_S = 0.02
# An answer is lost if the node does not know yet who asked: ask again so often [s].
_ASK_PERIOD_S = 0.3


def check_trajectory_controllers(
    robot: RobotContract, resolve: Callable[[str], str], timeout_s: float
) -> tuple[list[str], list[str]]:
    """Ask the node behind each ``joint_trajectory`` output for its parameters, and judge them.

    In a context of its own, so it can be called in a callback. It waits as long as it must, no longer than
    ``timeout_s``; without such an output it does nothing.

    Args:
        robot: Its outputs, joints and following errors.
        resolve: Makes the full name of a topic, such as ``node.resolve_topic_name``.
        timeout_s: For all of them together [s].

    Returns:
        Warnings, and refusals: why a controller cannot obey. A node that does not answer is a warning.
    """
    outputs = {
        resolve(output.topic).rpartition("/")[0]: output
        for output in robot.outputs
        if output.adapter == "joint_trajectory"
    }
    if not outputs:
        return [], []
    found = _read_parameters(list(outputs), timeout_s)
    warnings: list[str] = []
    refusals: list[str] = []
    for name, output in outputs.items():
        if name not in found:
            warnings.append(
                f"{name} has not said its parameters within {timeout_s:g} s; they matter if it is a "
                "joint_trajectory_controller (docs/install-on-a-robot.md)"
            )
        elif "joints" not in found[name]:
            warnings.append(f"{name} has no parameter joints: no joint_trajectory_controller, not checked")
        else:
            warnings += [f"{name}: {text}" for text in _warnings(found[name], robot, output)]
            refusals += [f"{name}: {text}" for text in _refusals(found[name], output)]
    return warnings, refusals


def _refusals(parameters: Mapping[str, Any], output: Output) -> list[str]:
    """Return why the driver would not obey as commanded, with the line to set."""
    lines = []
    joints = list(parameters["joints"])
    if sorted(joints) != sorted(output.joints):
        effect = "refuse every trajectory"
        if parameters.get("allow_partial_joints_goal") and set(output.joints) < set(joints):
            effect = "hold the other joints wherever they are measured at each command"
        lines.append(
            f"its joints are {_list(joints)}, the contract sends {_list(output.joints)}: it would {effect}; "
            "set the joints of this output in the contract, in any order"
        )
    states = list(parameters.get("state_interfaces", ()))
    if "position" not in states:
        lines.append(
            f"state_interfaces is [{_list(states)}]: it does not know where the arm is; "
            "set state_interfaces: [position, velocity]"
        )
    if parameters.get("allow_trajectory_replacement"):
        lines.append(
            "allow_trajectory_replacement is true: it starts a trajectory that has begun anew, so that each "
            "command would set the arm back; set allow_trajectory_replacement: false"
        )
    if parameters.get("interpolation_method", "splines") != "splines":
        lines.append(
            f"interpolation_method is {parameters['interpolation_method']}: it would jump from point to "
            "point; set interpolation_method: splines"
        )
    return lines


def _warnings(parameters: Mapping[str, Any], robot: RobotContract, output: Output) -> list[str]:
    """Return what the driver may do to the motion, with the line to set."""
    lines = []
    strict = [
        f"{joint} ({tolerance:g}, following error {limit:.3g})"
        for joint, limit in _following_limits(robot, output).items()
        if 0.0 < (tolerance := parameters.get(f"constraints.{joint}.trajectory") or 0.0) < limit
    ]
    if strict:
        lines.append(
            f"constraints.JOINT.trajectory is less than the contract's following error: {_list(strict)}; "
            "farther behind it drops the trajectory and holds the measured pose, without a ramp; "
            "set constraints.JOINT.trajectory: 0.0, since the following error is watched here"
        )
    commands = list(parameters.get("command_interfaces", ()))
    if commands in (["velocity"], ["effort"]):
        idle = [joint for joint in output.joints if not parameters.get(f"gains.{joint}.p")]
        if idle:
            lines.append(
                f"command_interfaces is [{commands[0]}] and gains.JOINT.p is 0 for {_list(idle)}: nothing "
                "brings these joints to where they are commanded; set their gains"
            )
    return lines


def _following_limits(robot: RobotContract, output: Output) -> dict[str, float]:
    """Return the contract's following error of each watched joint [m or rad]."""
    dofs = {dof.name: dof for dof in robot.dofs}
    limits = {}
    for joint, name in zip(output.joints, output.dofs, strict=True):
        dof = dofs[name]
        if dof.holds_command or name not in robot.state_names:
            continue
        gain = 1.0
        if output.travel is not None:
            gain = abs(output.travel[1] - output.travel[0]) / (dof.maximum - dof.minimum)
        limits[joint] = gain * following_limit(dof)
    return limits


def _read_parameters(names: Sequence[str], timeout_s: float) -> dict[str, dict[str, Any]]:
    """Return the parameters of the nodes that answer in time, by node."""
    found: dict[str, dict[str, Any]] = {}
    deadline = time.monotonic() + timeout_s
    with side_node("asyncvla_driver_parameters") as (node, executor):
        clients: dict[str, tuple[Any, Any]] = {
            name: (
                node.create_client(ListParameters, f"{name}/list_parameters"),
                node.create_client(GetParameters, f"{name}/get_parameters"),
            )
            for name in names
        }

        async def ask(name: str, lister: Any, getter: Any) -> None:
            # Asked for one that it has not, a C++ node answers nothing at all.
            known = list((await lister.call_async(ListParameters.Request())).result.names)
            values = (await getter.call_async(GetParameters.Request(names=known))).values
            found[name] = {
                key: Parameter.from_parameter_msg(ParameterMessage(name=key, value=value)).value
                for key, value in zip(known, values, strict=False)
            }

        again = dict.fromkeys(names, 0.0)
        while len(found) < len(names) and (now := time.monotonic()) < deadline:
            for name, both in clients.items():
                if name not in found and now > again[name] and all(c.service_is_ready() for c in both):
                    executor.create_task(ask, name, *both)
                    again[name] = now + _ASK_PERIOD_S
            executor.spin_once(timeout_sec=_LOOK_PERIOD_S)
    return found


def _list(names: Sequence[str]) -> str:
    return ", ".join(names)
