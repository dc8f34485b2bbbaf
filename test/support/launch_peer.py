"""``ros2 launch`` without ros2cli: ``launch_peer.py FILE [argument:=value ...]``."""

from __future__ import annotations

import sys

from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource


def main() -> int:
    """Run a launch file until everything in it has ended; return its exit code."""
    path, *arguments = sys.argv[1:]
    values = [tuple(argument.split(":=", 1)) for argument in arguments]
    source = PythonLaunchDescriptionSource(path)
    service = LaunchService()
    service.include_launch_description(
        LaunchDescription([IncludeLaunchDescription(source, launch_arguments=values)])
    )
    return service.run()


if __name__ == "__main__":
    sys.exit(main())
