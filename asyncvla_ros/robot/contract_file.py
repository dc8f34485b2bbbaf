"""Reading ``config/robots/<name>.yaml``; messages name the place of a mistake and the choices."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asyncvla_ros.common.yaml_file import read_yaml
from asyncvla_ros.common.yaml_section import Section, distinct
from asyncvla_ros.robot.contract import (
    ACTION_SPACES,
    LAG_S,
    TRANSPORTS,
    CameraSource,
    Dof,
    JointStateSource,
    PoseSource,
    RobotContract,
)
from asyncvla_ros.robot.contract_dofs import parse_dof
from asyncvla_ros.robot.contract_outputs import parse_outputs
from asyncvla_ros.robot.contract_safeguards import (
    check_topics,
    parse_driver_states,
    parse_enable,
    parse_guard,
)
from asyncvla_ros.types import ContractError

KEYS = ("name", "action_hz", "base_frame", "cameras", "state", "action", "outputs", "timeouts")
OPTIONAL_KEYS = ("command_hz", "ramp_s", "lag_s", "driver_state", "enable", "guard")
# Retired name of a key, which is still read: its name now.
RENAMED_KEYS = {"control_hz": "action_hz"}
# position (3) and two columns of the rotation matrix (6), see transforms.pose_to_state.
POSE_SIZE = 9
# Placeholder that new-robot writes where only a person knows the answer.
FILL_IN = "FILL_IN"

log = logging.getLogger(__name__)


def load_robot(path: Path) -> RobotContract:
    """Read and check a contract file.

    Raises:
        ContractError: the file is missing, is no YAML, repeats a key, is not filled in, or has an impossible
        value; the message names the place.
    """
    text, data = read_yaml(path, "robot contract")
    blanks = [str(n) for n, line in enumerate(text.splitlines(), 1) if FILL_IN in line.split("#")[0]]
    if blanks:
        raise ContractError(f"{path}: not filled in yet: {FILL_IN} in line {', '.join(blanks)}")
    return parse_robot(data, path.name)


def parse_robot(data: Any, where: str) -> RobotContract:
    """Return a contract from parsed YAML; ``where`` begins the messages of ``ContractError``."""
    root = Section(_with_renamed_keys(data, where), where, (*KEYS, *OPTIONAL_KEYS))
    action = Section(root.raw("action"), f"{where}: action", ("space", "dofs"))
    timeouts = Section(root.raw("timeouts"), f"{where}: timeouts", ("chunk_s", "observation_s"))
    cameras = tuple(_camera(item, f"{where}: cameras[{i}]") for i, item in enumerate(root.items("cameras")))
    state = tuple(_state(item, f"{where}: state[{i}]") for i, item in enumerate(root.items("state")))
    distinct([camera.key for camera in cameras], f"{where}: cameras")
    names = distinct([name for source in state for name in source.names], f"{where}: state")
    distinct([source.topic for source in (*cameras, *state)], f"{where}: topics of cameras and state")
    space, items = action.text("space", ACTION_SPACES), action.items("dofs")
    dofs = tuple(parse_dof(item, f"{where}: action.dofs[{i}]", space, names) for i, item in enumerate(items))
    distinct([dof.name for dof in dofs], f"{where}: action.dofs")
    told = root.items("driver_state") if root.has("driver_state") else []
    driver_states = parse_driver_states(told, f"{where}: driver_state")
    enable = parse_enable(root.raw("enable"), f"{where}: enable") if root.has("enable") else None
    check_topics((*cameras, *state), driver_states, enable, where)
    return RobotContract(
        name=root.text("name"),
        action_hz=root.positive("action_hz"),
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
        lag_s=root.optional_positive("lag_s") or LAG_S,
        driver_states=driver_states,
        enable=enable,
        guard=parse_guard(root.raw("guard"), f"{where}: guard", space, dofs) if root.has("guard") else None,
    )


def _with_renamed_keys(data: Any, where: str) -> Any:
    """Return a contract with the keys of today; warn of each retired one."""
    for old, new in RENAMED_KEYS.items():
        if isinstance(data, Mapping) and old in data and new not in data:
            log.warning("%s: the key %s is deprecated, use %s", where, old, new)
            data = {new if key == old else key: value for key, value in data.items()}
    return data


def _command_hz(root: Section, dofs: tuple[Dof, ...]) -> float | None:
    command_hz, action_hz = root.optional_positive("command_hz"), root.positive("action_hz")
    if command_hz is None:
        return None
    if command_hz < action_hz:
        raise ContractError(
            f"{root.where}.command_hz: expected action_hz ({action_hz:g}) or more, found {command_hz:g}"
        )
    once = [dof.name for dof in dofs if dof.is_delta or not (dof.velocity or dof.holds_command)]
    if once and command_hz != action_hz:
        raise ContractError(
            f"{root.where}.command_hz: only absolute actions with a velocity limit, or with hold: commanded, "
            f"can be commanded more often than action_hz; {', '.join(once)} cannot"
        )
    return command_hz


def _camera(data: Any, where: str) -> CameraSource:
    section = Section(data, where, ("key", "topic", "transport"))
    return CameraSource(section.text("key"), section.topic("topic"), section.text("transport", TRANSPORTS))


def _state(data: Any, where: str) -> JointStateSource | PoseSource:
    section = Section(data, where, ("type", "topic", "joints", "names"))
    names = section.names("names")
    if section.text("type", ("JointState", "PoseStamped")) == "JointState":
        joints = section.names("joints")
        if len(joints) != len(names):
            raise ContractError(
                f"{where}: {len(joints)} joints for {len(names)} names, expected one name each"
            )
        return JointStateSource(section.topic("topic"), joints, names)
    if section.has("joints"):
        raise ContractError(f"{where}: a PoseStamped has no joints; the keys are type, topic, names")
    if len(names) != POSE_SIZE:
        raise ContractError(
            f"{where}.names: a PoseStamped gives {POSE_SIZE} numbers (x y z, r11 r21 r31, r12 r22 r32), "
            f"found {len(names)} names"
        )
    return PoseSource(section.topic("topic"), names)
