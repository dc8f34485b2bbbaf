"""The robots whose limits ``asyncvla bench safety`` checks: two made for it, and every one that ships."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from asyncvla_ros.paths import share_dir
from asyncvla_ros.robot.contract import RobotContract
from asyncvla_ros.robot.contract_file import load_robot, parse_robot

# Minimum and maximum [rad], velocity [rad/s], acceleration [rad/s²], jerk [rad/s³] of a 7-joint arm.
ARM = (
    (-2.7437, 2.7437, 2.62, 10.0, 5000.0),
    (-1.7837, 1.7837, 2.62, 10.0, 5000.0),
    (-2.9007, 2.9007, 2.62, 10.0, 2000.0),
    (-3.0421, -0.1518, 2.62, 10.0, 500.0),
    (-2.8065, 2.8065, 5.26, 15.0, 500.0),
    (0.5445, 4.5169, 4.18, 15.0, 1000.0),
    (-3.0159, 3.0159, 5.26, 20.0, 5000.0),
)
UNMEASURED = "unmeasured_gripper"


def joint_arm() -> RobotContract:
    """Make seven joints and two grippers, one unmeasured: absolute actions at 20 Hz, commands at 100 Hz."""
    dofs: list[dict[str, Any]] = []
    for number, (low, high, velocity, acceleration, jerk) in enumerate(ARM, start=1):
        limits = {"position": [low, high], "velocity": velocity, "acceleration": acceleration, "jerk": jerk}
        dofs.append({"name": f"joint{number}", "unit": "rad", "scale": 1.0, "limits": limits})
    grip = {"unit": "m", "scale": 1.0, "limits": {"position": [0.0, 0.08], "velocity": 0.2}}
    dofs += [{"name": name, **grip, "hold": "commanded"} for name in ("gripper", UNMEASURED)]
    return _contract("joint_arm", "joint_position", dofs, command_hz=100.0, ramp_s=0.5)


def delta_arm() -> RobotContract:
    """Make a 20 Hz end effector delta arm: dofs limited by rate, workspace, both or neither."""
    box, rates = [-0.2, 0.2], {"velocity": 0.5, "acceleration": 2.0, "jerk": 40.0}
    dofs: list[dict[str, Any]] = []
    for name, limits in (
        ("x", {"workspace": {"state": "ee_x", "range": box}}),
        ("y", {"workspace": {"state": "ee_y", "range": box}, **rates}),
        ("z", {"workspace": {"state": "ee_z", "range": box}, "velocity": 0.3}),
    ):
        dofs.append(
            {"name": f"d{name}", "unit": "m", "scale": 0.05, "limits": {"step": [-0.05, 0.05], **limits}}
        )
    turn: dict[str, Any] = {"step": [-0.5, 0.5]}
    dofs.append({"name": "rx", "unit": "rad", "scale": 0.5, "limits": turn})
    dofs.append(
        {"name": "rz", "unit": "rad", "scale": 0.5, "limits": turn | {"velocity": 4.0, "acceleration": 20.0}}
    )
    dofs.append(
        {
            "name": "gripper",
            "unit": "normalized",
            "scale": 1.0,
            "limits": {"position": [-1.0, 1.0], "velocity": 4.0, "acceleration": 40.0},
        }
    )
    return _contract("delta_arm", "delta_ee_pose", dofs)


def held_arm() -> RobotContract:
    """Make three joints of a forward position controller, with another stop than motion."""
    limits = {"position": [-2.0, 2.0], "velocity": 2.0, "acceleration": 6.0, "jerk": 60.0}
    stop = {"stop": {"acceleration": 12.0, "jerk": 240.0}}
    dofs = [
        {"name": f"joint{number}", "unit": "rad", "scale": 1.0, "limits": {**limits, **stop}}
        for number in (1, 2, 3)
    ]
    joints = {"adapter": "forward_position", "topic": "position_controller/commands"}
    return _contract("held_arm", "joint_position", dofs, [joints], command_hz=100.0)


def velocity_arm() -> RobotContract:
    """Make three joints of a forward velocity controller, each in a range."""
    rates = {"step": [-0.1, 0.1], "velocity": 1.0, "acceleration": 4.0, "jerk": 40.0}
    dofs = [
        {
            "name": f"d{number}",
            "unit": "rad",
            "scale": 1.0,
            "limits": {**rates, "workspace": {"state": f"joint{number}", "range": [-1.5, 1.5]}},
        }
        for number in (1, 2, 3)
    ]
    joints = {"adapter": "forward_velocity", "topic": "velocity_controller/commands"}
    return _contract("velocity_arm", "delta_joint_position", dofs, [joints])


def servo_arm() -> RobotContract:
    """Make an arm of MoveIt Servo, driven by twists in a box that does not contain 0, and a gripper."""
    rates = {"step": [-0.05, 0.05], "velocity": 0.5, "acceleration": 2.0, "jerk": 40.0}
    boxes = {"x": [0.3, 0.7], "y": [-0.2, 0.2], "z": [0.1, 0.5]}
    dofs: list[dict[str, Any]] = [
        {
            "name": f"d{axis}",
            "unit": "m",
            "scale": 1.0,
            "limits": {**rates, "workspace": {"state": f"ee_{axis}", "range": box}},
        }
        for axis, box in boxes.items()
    ]
    turns = {"step": [-0.2, 0.2], "velocity": 2.0, "acceleration": 10.0, "jerk": 200.0}
    dofs += [{"name": f"dr{axis}", "unit": "rad", "scale": 1.0, "limits": turns} for axis in "xyz"]
    grip = {"position": [0.0, 0.08], "velocity": 0.2}
    dofs.append({"name": "gripper", "unit": "m", "scale": 1.0, "limits": grip, "hold": "commanded"})
    names = [dof["name"] for dof in dofs]
    twist = {"adapter": "twist", "topic": "servo/delta_twist_cmds", "dofs": names[:6]}
    fingers = {"adapter": "forward_position", "topic": "gripper/commands", "dofs": ["gripper"]}
    return _contract("servo_arm", "delta_ee_pose", dofs, [twist, fingers])


# Upper arm 0.5 m, fore arm 0.4 m, both turning about z, and a lift; the base is 0.1 m below.
GUARDED_URDF = """<robot name="guarded_arm">
  <link name="base"/><link name="upper"/><link name="fore"/><link name="slide"/><link name="tip"/>
  <joint name="shoulder" type="revolute">
    <parent link="base"/><child link="upper"/><origin xyz="0 0 0.1"/><axis xyz="0 0 1"/>
    <limit lower="-2.5" upper="2.5" effort="1" velocity="2"/>
  </joint>
  <joint name="elbow" type="revolute">
    <parent link="upper"/><child link="fore"/><origin xyz="0.5 0 0"/><axis xyz="0 0 1"/>
    <limit lower="-2.5" upper="2.5" effort="1" velocity="2"/>
  </joint>
  <joint name="lift" type="prismatic">
    <parent link="fore"/><child link="slide"/><origin xyz="0.4 0 0"/><axis xyz="0 0 1"/>
    <limit lower="-0.5" upper="0.5" effort="1" velocity="0.5"/>
  </joint>
  <joint name="flange" type="fixed"><parent link="slide"/><child link="tip"/></joint>
</robot>"""


def guarded_arm() -> RobotContract:
    """Make an arm on a trajectory controller whose tool is kept behind a wall, in a box, slow."""
    turn = {"position": [-2.5, 2.5], "velocity": 2.0, "acceleration": 6.0, "jerk": 60.0}
    lift = {"position": [-0.5, 0.5], "velocity": 0.5, "acceleration": 2.0, "jerk": 20.0}
    dofs = [
        {"name": "shoulder", "unit": "rad", "scale": 1.0, "limits": turn},
        {"name": "elbow", "unit": "rad", "scale": 1.0, "limits": turn},
        {"name": "lift", "unit": "m", "scale": 1.0, "limits": lift},
    ]
    wall = {"normal": [0, -1, 0], "offset": -0.7}
    frame = {"link": "tip", "box": [[-1.0, 1.0], [-1.0, 1.0], [0.0, 0.4]], "planes": [wall]}
    output = {"adapter": "joint_trajectory", "topic": "arm/joint_trajectory"}
    guard = {"tool": "tip", "tool_speed": 1.0, "frames": [frame]}
    return _contract("guarded_arm", "joint_position", dofs, [output], command_hz=50.0, guard=guard)


def guarded_links(joints: np.ndarray) -> dict[str, np.ndarray]:
    """Return where the tip is (m, 3) [m] at (m, 3) joints of ``guarded_arm``, by school trigonometry."""
    shoulder, elbow, lift = joints.T
    x = 0.5 * np.cos(shoulder) + 0.4 * np.cos(shoulder + elbow)
    y = 0.5 * np.sin(shoulder) + 0.4 * np.sin(shoulder + elbow)
    return {"tip": np.stack([x, y, 0.1 + lift], axis=1)}


POSE = ("ee_x", "ee_y", "ee_z", "ee_r11", "ee_r21", "ee_r31", "ee_r12", "ee_r22", "ee_r32")


def pose_arm() -> RobotContract:
    """Make an arm that a Cartesian controller drives by poses."""
    places = {"position": [-0.8, 0.8], "velocity": 0.5, "acceleration": 2.0, "jerk": 40.0}
    entries = {"position": [-1.0, 1.0], "velocity": 1.5, "acceleration": 6.0, "jerk": 120.0}
    dofs = [
        {"name": name, "unit": "m", "scale": 1.0, "limits": places}
        if index < 3
        else {"name": name, "unit": "normalized", "scale": 1.0, "limits": entries}
        for index, name in enumerate(POSE)
    ]
    state = [{"type": "PoseStamped", "topic": "ee_pose", "names": list(POSE)}]
    output = {"adapter": "pose", "topic": "target_pose"}
    return _contract("pose_arm", "ee_pose", dofs, [output], state=state, command_hz=100.0)


# Those that are made here, not shipped.
MADE = (
    "joint_arm",
    "delta_arm",
    "held_arm",
    "velocity_arm",
    "servo_arm",
    "pose_arm",
    "guarded_arm",
)


def contracts() -> tuple[RobotContract, ...]:
    """Return all contracts that are checked."""
    made = (
        joint_arm(),
        delta_arm(),
        held_arm(),
        velocity_arm(),
        servo_arm(),
        pose_arm(),
        guarded_arm(),
    )
    shipped = sorted((share_dir() / "config" / "robots").glob("*.yaml"))
    return (*made, *(load_robot(path) for path in shipped))


def _contract(
    name: str,
    space: str,
    dofs: list[dict[str, Any]],
    outputs: Sequence[dict[str, Any]] = (),
    state: Sequence[dict[str, Any]] = (),
    **more: Any,
) -> RobotContract:
    measured = [dof for dof in dofs if dof["name"] != UNMEASURED]
    states = [dof["limits"].get("workspace", {}).get("state", dof["name"]) for dof in measured]
    data = {
        "name": name,
        "action_hz": 20.0,
        "base_frame": "base",
        "cameras": [{"key": "front", "topic": "front/image_raw", "transport": "raw"}],
        "state": list(state)
        or [{"type": "JointState", "topic": "joint_states", "joints": states, "names": states}],
        "action": {"space": space, "dofs": dofs},
        "outputs": [{"adapter": "action_command", "topic": "~/command"}, *outputs],
        "timeouts": {"chunk_s": 0.5, "observation_s": 0.2},
        **more,
    }
    return parse_robot(data, name)
