"""The contract of the arm that benchmarks move: six joints, two cameras, nothing but numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

NAME = "bench_arm"
JOINTS = tuple(f"joint_{number}" for number in range(1, 7))
CAMERAS = ("front", "wrist")
CONTROL_HZ, COMMAND_HZ = 20.0, 100.0
CHUNK_TIMEOUT_S, OBSERVATION_TIMEOUT_S = 0.5, 0.3
# [rad], [rad/s], [rad/s²], [rad/s³]
LIMITS = {"position": [-2.0, 2.0], "velocity": 2.0, "acceleration": 8.0, "jerk": 80.0}


def camera_topic(camera: str, transport: str) -> str:
    """Where a camera publishes, ``raw`` or ``compressed``."""
    return f"{camera}/image_raw" + ("/compressed" if transport == "compressed" else "")


def write_contract(folder: Path, transport: str = "raw") -> Path:
    """Writes the robot contract into a folder and returns its path.

    Args:
        folder: Where to.
        transport: Of the cameras: ``raw`` or ``compressed``.
    """
    contract: dict[str, Any] = {
        "name": NAME,
        "control_hz": CONTROL_HZ,
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
    path = folder / f"{NAME}.yaml"
    path.write_text(yaml.safe_dump(contract, sort_keys=False), encoding="utf-8")
    return path
