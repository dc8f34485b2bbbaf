"""The contracts of the arm that benchmarks move: six joints, two cameras, nothing but numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

NAME = "bench_arm"
JOINTS = tuple(f"joint_{number}" for number in range(1, 7))
CAMERAS = ("front", "wrist")
ACTION_HZ, COMMAND_HZ = 20.0, 100.0
CHUNK_TIMEOUT_S, OBSERVATION_TIMEOUT_S = 0.5, 0.3
# [rad], [rad/s], [rad/s²], [rad/s³]
LIMITS = {"position": [-2.0, 2.0], "velocity": 2.0, "acceleration": 8.0, "jerk": 80.0}
# The same arm with a driver: as the shipped arms, it takes commands at 50 Hz, and stops harder.
DRIVEN_NAME, DRIVEN_HZ = "driven_bench_arm", 50.0
STOP = {"acceleration": 16.0, "jerk": 320.0}
TRAJECTORY_TOPIC, DRIVES_TOPIC = "arm/joint_trajectory", "arm/drives_on"


def camera_topic(camera: str, transport: str) -> str:
    """Return the topic of a camera whose transport is ``raw`` or ``compressed``."""
    return f"{camera}/image_raw" + ("/compressed" if transport == "compressed" else "")


def write_contract(folder: Path, transport: str = "raw") -> Path:
    """Write the contract of an arm that obeys ``ActionCommand``; return its path.

    Args:
        folder: Folder of the file.
        transport: Transport of the cameras, ``raw`` or ``compressed``.
    """
    return _write(folder, _contract(transport))


def write_driven_contract(folder: Path) -> Path:
    """Write the contract of an arm whose driver follows trajectories and says whether its drives are on."""
    contract = _contract("raw")
    contract |= {"name": DRIVEN_NAME, "command_hz": DRIVEN_HZ}
    limits = {**LIMITS, "stop": STOP}
    contract["action"]["dofs"] = [{**dof, "limits": limits} for dof in contract["action"]["dofs"]]
    contract["outputs"].append(
        {"adapter": "joint_trajectory", "topic": TRAJECTORY_TOPIC, "dofs": list(JOINTS)}
    )
    contract["driver_state"] = [{"topic": DRIVES_TOPIC, "type": "std_msgs/msg/Bool", "ready": [True]}]
    return _write(folder, contract)


def _contract(transport: str) -> dict[str, Any]:
    return {
        "name": NAME,
        "action_hz": ACTION_HZ,
        "command_hz": COMMAND_HZ,
        "base_frame": "base_link",
        "cameras": [
            {"key": key, "topic": camera_topic(key, transport), "transport": transport} for key in CAMERAS
        ],
        "state": [
            {"type": "JointState", "topic": "joint_states", "joints": list(JOINTS), "names": list(JOINTS)}
        ],
        "action": {
            "space": "joint_position",
            "dofs": [{"name": name, "unit": "rad", "scale": 1.0, "limits": LIMITS} for name in JOINTS],
        },
        "outputs": [{"adapter": "action_command", "topic": "~/command"}],
        "timeouts": {"chunk_s": CHUNK_TIMEOUT_S, "observation_s": OBSERVATION_TIMEOUT_S},
    }


def _write(folder: Path, contract: dict[str, Any]) -> Path:
    path = folder / f"{contract['name']}.yaml"
    path.write_text(yaml.safe_dump(contract, sort_keys=False), encoding="utf-8")
    return path
