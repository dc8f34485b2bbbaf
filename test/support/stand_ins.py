"""ROS packages that say what they were asked for and do nothing else, for the launch files that need them."""

from __future__ import annotations

from pathlib import Path

GZ_SIM = """
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess
from launch.substitutions import LaunchConfiguration


def generate_launch_description():
    command = ["gz", "sim", LaunchConfiguration("gz_args")]
    return LaunchDescription(
        [DeclareLaunchArgument("gz_args"), ExecuteProcess(cmd=command, output="screen")]
    )
"""
# Says its name and arguments, then ends, or stays until it is told to end.
ENDS = 'echo "STAND-IN $(basename "$0") $*"'
STAYS = f"{ENDS}; exec sleep 1000"


class StandIns:
    """A folder with stand-ins of packages and commands.

    Args:
        root: Where to create it.
    """

    def __init__(self, root: Path):
        self._root = root
        (root / "bin").mkdir(parents=True)

    def environment(self, prefixes: str, path: str) -> dict[str, str]:
        """Return the variables that put the stand-ins before installed packages and commands."""
        return {"AMENT_PREFIX_PATH": f"{self._root}:{prefixes}", "PATH": f"{self._root / 'bin'}:{path}"}

    def command(self, name: str, script: str = ENDS) -> None:
        """Write an executable on the path."""
        _write(self._root / "bin" / name, script)

    def package(self, name: str, **executables: str) -> None:
        """Write a package with executables: name to shell script."""
        index = self._root / "share" / "ament_index" / "resource_index" / "packages"
        index.mkdir(parents=True, exist_ok=True)
        (index / name).touch()
        for executable, script in executables.items():
            _write(self._root / "lib" / name / executable, script)

    def gazebo(self, create: str = ENDS) -> None:
        """Everything gazebo.launch.py needs."""
        self.command("gz", STAYS)
        self.command("xacro", "echo '<robot/>'")
        self.package("ros_gz_sim", create=create)
        launch = self._root / "share" / "ros_gz_sim" / "launch"
        launch.mkdir(parents=True)
        (launch / "gz_sim.launch.py").write_text(GZ_SIM)
        self.package("ros_gz_bridge", parameter_bridge=STAYS)
        self.package("robot_state_publisher", robot_state_publisher=STAYS)
        self.package("controller_manager", spawner=ENDS)
        for name in ("gz_ros2_control", "xacro", "joint_state_broadcaster"):
            self.package(name)
        for name in ("joint_trajectory_controller", "forward_command_controller"):
            self.package(name)


def _write(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
