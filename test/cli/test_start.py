from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

from asyncvla_ros.cli.start import without_foreign_ros


def _with_rclpy(folder: Path) -> Path:
    (folder / "rclpy").mkdir(parents=True)
    return folder


def test_a_sourced_ros_gives_way_to_that_of_the_environment(tmp_path):
    own, other = _with_rclpy(tmp_path / "own"), _with_rclpy(tmp_path / "ros")
    shell = {
        "PYTHONPATH": f"/nowhere:{other}",
        "ROS_DISTRO": "jazzy",
        "LD_LIBRARY_PATH": "/opt/ros",
        "A": "b",
    }
    assert without_foreign_ros(shell, own) == {"A": "b"}


def test_without_one_of_its_own_the_sourced_one_is_used(tmp_path):
    shell = {"PYTHONPATH": str(_with_rclpy(tmp_path / "ros"))}
    assert without_foreign_ros(shell, tmp_path / "venv") is None
    own = _with_rclpy(tmp_path / "own")
    for harmless in ({}, {"PYTHONPATH": str(own)}, {"PYTHONPATH": f":{tmp_path}"}):
        assert without_foreign_ros(harmless, own) is None


def test_the_command_runs_beside_a_broken_rclpy(tmp_path):
    (_with_rclpy(tmp_path) / "rclpy" / "__init__.py").write_text("raise ImportError('another build')")
    # So does numpy of another NumPy generation.
    (tmp_path / "numpy.py").write_text("raise ImportError('another build')")
    assert (Path(sysconfig.get_paths()["purelib"]) / "rclpy").is_dir()
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{Path(__file__).parents[2]}"}
    command = [sys.executable, "-m", "asyncvla_ros.cli", "check", "--robot", "ur5e"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    assert "robot ur5e" in ended.stdout
