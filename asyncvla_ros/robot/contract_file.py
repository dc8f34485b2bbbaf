"""Reading ``config/robots/<name>.yaml``; every mistake is named with its place and the choices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from asyncvla_ros.common.yaml_section import Section, distinct
from asyncvla_ros.robot.contract import (
    ACTION_SPACES,
    HOLDS,
    TRANSPORTS,
    UNITS,
    CameraSource,
    Dof,
    JointStateSource,
    PoseSource,
    RobotContract,
    WorkspaceLimit,
)
from asyncvla_ros.robot.contract_outputs import parse_outputs
from asyncvla_ros.types import ContractError

# position (3) and two columns of the rotation matrix (6), see transforms.pose_to_state.
POSE_SIZE = 9
# What new-robot writes where only a person knows the answer.
FILL_IN = "FILL_IN"


def load_robot(path: Path) -> RobotContract:
    """Reads and checks a contract file.

    Raises:
        ContractError: the file is missing, is no YAML, is not filled in, or says something impossible; the
            message says where.
    """
    try:
        text = path.read_text(encoding="utf-8")
        data = yaml.safe_load(text)
    except OSError as error:
        raise ContractError(f"{path}: cannot read the robot contract: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise ContractError(f"{path}: no valid YAML: {error}") from error
    blanks = [str(n) for n, line in enumerate(text.splitlines(), 1) if FILL_IN in line.split("#")[0]]
    if blanks:
        raise ContractError(f"{path}: not filled in yet: {FILL_IN} in line {', '.join(blanks)}")
    return parse_robot(data, path.name)


def parse_robot(data: Any, where: str) -> RobotContract:
    """A contract from parsed YAML; ``where`` begins the messages of ``ContractError``."""
    keys = ("name", "control_hz", "base_frame", "cameras", "state", "action", "outputs", "timeouts")
    root = Section(data, where, (*keys, "command_hz", "ramp_s"))
    action = Section(root.raw("action"), f"{where}: action", ("space", "dofs"))
    timeouts = Section(root.raw("timeouts"), f"{where}: timeouts", ("chunk_s", "observation_s"))
    cameras = tuple(_camera(item, f"{where}: cameras[{i}]") for i, item in enumerate(root.items("cameras")))
    state = tuple(_state(item, f"{where}: state[{i}]") for i, item in enumerate(root.items("state")))
    space = action.text("space", ACTION_SPACES)
    dofs = tuple(
        _dof(item, f"{where}: action.dofs[{i}]", space) for i, item in enumerate(action.items("dofs"))
    )
    distinct([camera.key for camera in cameras], f"{where}: cameras")
    distinct([name for source in state for name in source.names], f"{where}: state")
    distinct([source.topic for source in (*cameras, *state)], f"{where}: topics of cameras and state")
    distinct([dof.name for dof in dofs], f"{where}: action.dofs")
    return RobotContract(
        name=root.text("name"),
        control_hz=root.positive("control_hz"),
        base_frame=root.text("base_frame"),
        cameras=cameras,
        state=state,
        action_space=space,
        dofs=dofs,
        outputs=parse_outputs(root.items("outputs"), where, space, dofs),
        chunk_timeout_s=timeouts.positive("chunk_s"),
        observation_timeout_s=timeouts.positive("observation_s"),
        command_hz=_command_hz(root, dofs),
        ramp_s=root.optional_positive("ramp_s") or 0.0,
    )


def _command_hz(root: Section, dofs: tuple[Dof, ...]) -> float | None:
    command_hz, control_hz = root.optional_positive("command_hz"), root.positive("control_hz")
    if command_hz is None:
        return None
    if command_hz < control_hz:
        raise ContractError(
            f"{root.where}.command_hz: expected control_hz ({control_hz:g}) or more, found {command_hz:g}"
        )
    once = [dof.name for dof in dofs if dof.is_delta or not (dof.velocity or dof.holds_command)]
    if once and command_hz != control_hz:
        raise ContractError(
            f"{root.where}.command_hz: only targets with a velocity limit, or with hold: commanded, can be "
            f"commanded more often than control_hz; {', '.join(once)} cannot"
        )
    return command_hz


def _camera(data: Any, where: str) -> CameraSource:
    section = Section(data, where, ("key", "topic", "transport"))
    return CameraSource(section.text("key"), section.text("topic"), section.text("transport", TRANSPORTS))


def _state(data: Any, where: str) -> JointStateSource | PoseSource:
    section = Section(data, where, ("type", "topic", "joints", "names"))
    names = section.names("names")
    if section.text("type", ("JointState", "PoseStamped")) == "JointState":
        joints = section.names("joints")
        if len(joints) != len(names):
            raise ContractError(
                f"{where}: {len(joints)} joints for {len(names)} names, expected one name each"
            )
        return JointStateSource(section.text("topic"), joints, names)
    if section.has("joints"):
        raise ContractError(f"{where}: a PoseStamped has no joints; the keys are type, topic, names")
    if len(names) != POSE_SIZE:
        raise ContractError(
            f"{where}.names: a PoseStamped gives {POSE_SIZE} numbers (x y z, r11 r21 r31, r12 r22 r32), "
            f"found {len(names)} names"
        )
    return PoseSource(section.text("topic"), names)


def _dof(data: Any, where: str, space: str) -> Dof:
    section = Section(data, where, ("name", "unit", "scale", "limits", "hold"))
    keys = ("step", "position", "velocity", "acceleration", "jerk", "workspace")
    limits = Section(section.raw("limits"), f"{where}.limits", keys)
    is_delta = limits.has("step")
    if is_delta == limits.has("position"):
        raise ContractError(
            f"{where}.limits: expected either step (a change per control step) or position (a target)"
        )
    if is_delta and not space.startswith("delta_"):
        raise ContractError(f"{where}.limits: step limits need a delta action space, found {space}")
    minimum, maximum = limits.interval("step" if is_delta else "position")
    if is_delta and not minimum <= 0 <= maximum:
        raise ContractError(
            f"{where}.limits.step: [{minimum:g}, {maximum:g}] does not permit standing still (0)"
        )
    dof = Dof(
        name=section.text("name"),
        unit=section.text("unit", UNITS),
        scale=section.positive("scale"),
        is_delta=is_delta,
        minimum=minimum,
        maximum=maximum,
        velocity=limits.optional_positive("velocity"),
        acceleration=limits.optional_positive("acceleration"),
        jerk=limits.optional_positive("jerk"),
        workspace=_workspace(limits, is_delta) if limits.has("workspace") else None,
        holds_command=section.has("hold") and section.text("hold", HOLDS) == "commanded",
    )
    if is_delta and section.has("hold"):
        raise ContractError(f"{where}.hold: a change per control step is held by 0; it is for targets")
    for key, needed in (("acceleration", "velocity"), ("jerk", "acceleration")):
        if limits.has(key) and not limits.has(needed):
            raise ContractError(f"{where}.limits: a limit of {key} needs one of {needed}")
    return dof


def _workspace(limits: Section, is_delta: bool) -> WorkspaceLimit:
    where = f"{limits.where}.workspace"
    if not is_delta:
        raise ContractError(f"{where}: only for a change per control step; a target has its position limits")
    section = Section(limits.raw("workspace"), where, ("state", "range"))
    return WorkspaceLimit(section.text("state"), *section.interval("range"))
