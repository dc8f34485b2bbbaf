"""Draw docs/chunk-markers.png with the code behind the markers: ``python tools/draw_markers.py [PNG]``."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from asyncvla_ros.control.chunk import StampedChunk
from asyncvla_ros.paths import robot_file
from asyncvla_ros.robot.contract_file import load_robot
from asyncvla_ros.view.chunk_display import ChunkDisplay
from asyncvla_ros.view.picture import write_picture

ROOT = Path(__file__).resolve().parents[1]
LENGTH, EXECUTED = 16, 4


def main() -> None:
    """Draw the picture."""
    robot = load_robot(robot_file("libero_panda"))
    display = ChunkDisplay(robot)
    display.observe("ee_pose", 0, {"ee_x": 0.45, "ee_y": 0.10, "ee_z": 0.30})
    display.show(_reach(robot.dof_names, robot.action_period_ns))
    # An observation of time 0 is stale after chunk_s, so the picture shows an earlier time.
    view = display.view(EXECUTED * robot.action_period_ns)
    assert view is not None, display.problem
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "chunk-markers.png"
    write_picture(path, view, f"a chunk of {LENGTH} actions, {EXECUTED} of them executed")
    print(path)


def _reach(dof_names: tuple[str, ...], action_period_ns: int) -> StampedChunk:
    """Return an example chunk: down to an object and up again, with low confidence at the grasp."""
    time = np.linspace(0.0, 1.0, LENGTH)
    actions = np.zeros((LENGTH, len(dof_names)), np.float32)
    actions[:, 0] = 0.012 * np.cos(2.5 * time)
    actions[:, 1] = -0.014 * np.sin(3.0 * time)
    actions[:, 2] = -0.022 * np.cos(np.pi * time)
    confidence = (0.95 - 0.75 * np.exp(-(((time - 0.55) / 0.13) ** 2))).astype(np.float32)
    confidence[-2:] = np.nan
    return StampedChunk(
        session_id=1,
        chunk_id=1,
        stamp_ns=0,
        action_period_ns=action_period_ns,
        action_space="delta_ee_pose",
        dof_names=dof_names,
        actions=actions,
        confidence=confidence,
        refined=confidence < 0.5,
    )


if __name__ == "__main__":
    main()
