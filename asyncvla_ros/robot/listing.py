"""A robot contract as tables for a person."""

from __future__ import annotations

import math
from dataclasses import dataclass

from asyncvla_ros.robot.contract import (
    HOLDS,
    Dof,
    DriverState,
    GuardedFrame,
    JointStateSource,
    Output,
    PoseSource,
    RobotContract,
    ToolLimits,
)
from asyncvla_ros.robot.contract_safeguards import BOOL
from asyncvla_ros.robot.motion_limits import following_limit, stop_limits
from asyncvla_ros.robot.stops import DofStops, WorstStop, stops

MESSAGES = {
    "action_command": "asyncvla_msgs/ActionCommand",
    "joint_trajectory": "trajectory_msgs/JointTrajectory",
    "forward_position": "std_msgs/Float64MultiArray (positions)",
    "forward_velocity": "std_msgs/Float64MultiArray (velocities)",
    "twist": "geometry_msgs/TwistStamped",
    "pose": "geometry_msgs/PoseStamped",
    "gripper_command": "action control_msgs/GripperCommand",
    "parallel_gripper_command": "action control_msgs/ParallelGripperCommand",
}
DOF_COLUMNS = (
    "dof",
    "is a",
    "unit",
    "scale",
    "minimum",
    "maximum",
    "velocity",
    "acceleration",
    "jerk",
    "hold",
)


@dataclass(frozen=True)
class Listing:
    """One table: a title, the names of its columns, and its rows."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def listings(robot: RobotContract) -> tuple[Listing, ...]:
    """List everything a contract says, and what follows from it."""
    tables = (*_tables_of_interfaces(robot), *_tables_of_safeguards(robot))
    return tuple(table for table in tables if table.rows)


def _tables_of_interfaces(robot: RobotContract) -> tuple[Listing, ...]:
    head = {
        "control rate": f"{robot.action_hz:g} Hz",
        "command rate": f"{robot.command_hz or robot.action_hz:g} Hz",
        "ramp": f"{robot.ramp_s:g} s",
        "lag": f"{robot.lag_s:g} s",
        "base frame": robot.base_frame,
        "action space": robot.action_space,
    }
    cameras = tuple((camera.key, camera.topic, camera.transport) for camera in robot.cameras)
    return (
        Listing(f"robot {robot.name}", tuple(head), (tuple(head.values()),)),
        Listing("cameras", ("key", "topic", "transport"), cameras),
        Listing(
            f"state ({len(robot.state_names)} numbers)",
            ("topic", "message", "name", "from"),
            tuple(row for source in robot.state for row in _state_rows(source)),
        ),
        Listing(f"action ({len(robot.dofs)} dofs)", DOF_COLUMNS, tuple(_dof_row(dof) for dof in robot.dofs)),
        Listing(
            "outputs",
            ("adapter", "message", "topic", "dofs"),
            tuple((o.adapter, MESSAGES[o.adapter], o.topic, _carried(o, robot)) for o in robot.outputs),
        ),
        Listing(
            "timeouts",
            ("newest chunk's observation", "robot's state"),
            ((f"{robot.chunk_timeout_s:g} s", f"{robot.observation_timeout_s:g} s"),),
        ),
    )


def _tables_of_safeguards(robot: RobotContract) -> tuple[Listing, ...]:
    """List what stops the arm, and how far it goes then; no rows for what the contract lacks."""
    followed = [d for d in robot.dofs if not (d.is_delta or d.holds_command) and d.name in robot.state_names]
    switches = () if robot.enable is None else ((robot.enable.topic, f"{robot.enable.timeout_s:g} s"),)
    return (
        Listing(
            "stops from full velocity, at most",
            (
                "dof",
                "from",
                "hold: time",
                "way",
                "emergency stop: time",
                "way",
                "limits of the emergency stop",
            ),
            tuple(_stops_row(robot, one) for one in stops(robot)),
        ),
        Listing(
            "following error",
            ("dof", "limit"),
            tuple((dof.name, f"{following_limit(dof):g} {dof.unit}") for dof in followed),
        ),
        Listing(
            "driver states",
            ("topic", "message", "field", "ready"),
            tuple((s.topic, s.message, s.field, _ready(s)) for s in robot.driver_states),
        ),
        Listing("enable switch", ("topic", "timeout"), switches),
        Listing("guard", ("link", "limit"), () if robot.guard is None else _guard_rows(robot.guard)),
    )


def _stops_row(robot: RobotContract, one: DofStops) -> tuple[str, ...]:
    limits = stop_limits(robot.dofs[robot.dof_names.index(one.name)], robot.command_period_ns / 1e9)
    return (
        one.name,
        f"{one.speed:g} {one.unit}/s",
        *_stop(one.hold, one.unit),
        *_stop(one.emergency, one.unit),
        f"{limits.acceleration:g} {one.unit}/s², {limits.jerk:g} {one.unit}/s³",
    )


def _stop(stop: WorstStop, unit: str) -> tuple[str, str]:
    """Format the duration and distance of a stop, rounded up."""
    degrees = f" ({math.ceil(math.degrees(stop.distance))}°)" if unit == "rad" else ""
    return (
        f"{math.ceil(100 * stop.time_s) / 100:.2f} s",
        f"{math.ceil(100 * stop.distance) / 100:.2f} {unit}{degrees}",
    )


def _ready(state: DriverState) -> str:
    if state.message == BOOL:
        return ", ".join("true" if value else "false" for value in state.ready)
    return ", ".join(map(str, state.ready))


def _guard_rows(guard: ToolLimits) -> tuple[tuple[str, str], ...]:
    speed = () if guard.speed is None else ((guard.tool, f"tool: {guard.speed:g} m/s at most"),)
    return (*speed, *(row for frame in guard.frames for row in _frame_rows(frame)))


def _frame_rows(frame: GuardedFrame) -> list[tuple[str, str]]:
    rows = []
    if frame.box is not None:
        sides = (f"{low:g} <= {axis} <= {high:g}" for axis, (low, high) in zip("xyz", frame.box, strict=True))
        rows.append((frame.link, f"box: {', '.join(sides)} m"))
    for plane in frame.planes:
        normal = ", ".join(f"{value:.3g}" for value in plane.normal)
        rows.append((frame.link, f"plane: ({normal}) . p >= {plane.offset:g} m"))
    return rows


def _state_rows(source: JointStateSource | PoseSource) -> list[tuple[str, ...]]:
    if isinstance(source, PoseSource):
        return [(source.topic, "PoseStamped", name, "") for name in source.names]
    pairs = zip(source.names, source.joints, strict=True)
    return [(source.topic, "JointState", name, f"joint {joint}") for name, joint in pairs]


def _dof_row(dof: Dof) -> tuple[str, ...]:
    kind = "delta per step" if dof.is_delta else "absolute"
    bounds = (dof.minimum, dof.maximum, dof.velocity, dof.acceleration, dof.jerk)
    numbers = ("-" if bound is None else f"{bound:g}" for bound in bounds)
    hold = "0" if dof.is_delta else HOLDS[dof.holds_command]
    return (dof.name, kind, dof.unit, f"{dof.scale:g}", *numbers, hold)


def _carried(output: Output, robot: RobotContract) -> str:
    if output.adapter == "action_command":
        return "all"
    pairs = zip(output.dofs, output.joints, strict=True)
    text = ", ".join(dof if dof == joint else f"{dof} to joint {joint}" for dof, joint in pairs)
    if output.travel is not None:
        dof = robot.dofs[robot.dof_names.index(output.dofs[0])]
        text += f": {dof.minimum:g} .. {dof.maximum:g} is {output.travel[0]:g} .. {output.travel[1]:g}"
    return text + (f", effort {output.max_effort:g}" if output.max_effort else "")
