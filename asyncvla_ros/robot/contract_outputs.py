"""Reading the outputs of a robot contract: adapters and the action dims they carry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from asyncvla_ros.common.yaml_section import Section
from asyncvla_ros.robot.contract import ADAPTERS, Dof, Output
from asyncvla_ros.types import ContractError

# Keys besides adapter and topic.
KEYS = {
    "action_command": (),
    "joint_trajectory": ("dofs", "joints", "travel"),
    "forward_position": ("dofs", "joints", "travel"),
    "forward_velocity": ("dofs",),
    "twist": ("dofs",),
    "pose": ("dofs",),
    "gripper_command": ("dofs", "travel", "max_effort"),
    "parallel_gripper_command": ("dofs", "joints", "travel", "max_effort"),
}
# Kind of their numbers: deltas per control step, or absolute. action_command carries either.
TAKES_DELTAS = {"forward_velocity": True, "twist": True} | dict.fromkeys(
    ("joint_trajectory", "forward_position", "pose", "gripper_command", "parallel_gripper_command"), False
)
# Adapters in which one dof may drive several joints alike, such as the fingers of a gripper.
MANY_JOINTS = ("joint_trajectory", "forward_position")
# Adapters with a fixed number of values: how many, in which action space, and which.
FIXED = {
    "twist": (6, ("delta_ee_pose",), "dx dy dz [m] and the rotation vector drx dry drz [rad] in base_frame"),
    "pose": (9, ("ee_pose",), "x y z and two columns of the rotation matrix, as in the state"),
    "gripper_command": (1, (), "the opening"),
    "parallel_gripper_command": (1, (), "the opening"),
}


def parse_outputs(items: Sequence[Any], where: str, space: str, dofs: Sequence[Dof]) -> tuple[Output, ...]:
    """Return the outputs of a contract.

    Args:
        items: The parsed YAML list.
        where: Place for messages, such as ``ur5e.yaml``.
        space: Action space of the contract.
        dofs: All action dims in order.

    Raises:
        ContractError: an adapter cannot carry its dofs, or a dof has no output or several.
    """
    outputs = tuple(_output(item, f"{where}: outputs[{i}]", space, dofs) for i, item in enumerate(items))
    # action_command carries all dofs, for simulators and bags, besides the other outputs.
    carried = [name for output in outputs if output.adapter != "action_command" for name in set(output.dofs)]
    if not carried:
        return outputs
    for dof in dofs:
        count = carried.count(dof.name)
        if count != 1:
            raise ContractError(
                f"{where}: outputs: dof {dof.name} is carried by {count} outputs beside action_command, "
                "expected one"
            )
    return outputs


def _output(data: Any, where: str, space: str, dofs: Sequence[Dof]) -> Output:
    every_key = sorted({key for keys in KEYS.values() for key in keys})
    adapter = Section(data, where, ("adapter", "topic", *every_key)).text("adapter", ADAPTERS)
    section = Section(data, f"{where} ({adapter})", ("adapter", "topic", *KEYS[adapter]))
    known = {dof.name: dof for dof in dofs}
    names = section.names("dofs") if section.has("dofs") else tuple(known)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ContractError(
            f"{section.where}.dofs: unknown {', '.join(unknown)}; the dofs are {', '.join(known)}"
        )
    _check_kind(adapter, section.where, space, [known[name] for name in names])
    joints = section.names("joints") if section.has("joints") else names
    if section.has("travel") and len(names) != 1:
        raise ContractError(f"{section.where}.travel: expected one dof, found {len(names)}")
    if len(names) == 1 and adapter in MANY_JOINTS:
        names *= len(joints)
    if len(joints) != len(names):
        raise ContractError(
            f"{section.where}: {len(joints)} joints for {len(names)} dofs, expected one name each"
        )
    return Output(
        adapter=adapter,
        topic=section.topic("topic"),
        dofs=names,
        joints=joints,
        travel=section.pair("travel") if section.has("travel") else None,
        max_effort=section.optional_positive("max_effort") or 0.0,
    )


def _check_kind(adapter: str, where: str, space: str, dofs: Sequence[Dof]) -> None:
    """Raise ContractError if the adapter cannot carry deltas, or absolute actions, of these dofs."""
    if adapter in FIXED:
        count, spaces, meaning = FIXED[adapter]
        if len(dofs) != count or (spaces and space not in spaces):
            asked = f" of the action space {' or '.join(spaces)}" if spaces else ""
            raise ContractError(
                f"{where}: expected {count} dofs{asked}: {meaning}; found {len(dofs)} of {space}"
            )
    if adapter not in TAKES_DELTAS:
        return
    kinds = {True: "deltas (limits.step)", False: "absolute actions (limits.position)"}
    wrong = [dof.name for dof in dofs if dof.is_delta is not TAKES_DELTAS[adapter]]
    if wrong:
        raise ContractError(
            f"{where}: expected {kinds[TAKES_DELTAS[adapter]]}; "
            f"{', '.join(wrong)} are {kinds[not TAKES_DELTAS[adapter]]}"
        )
