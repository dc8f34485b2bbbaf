"""rviz2 with the robot, its cameras, the predicted path and the overlay.

ros2 launch asyncvla_ros rviz.launch.py robot:=ur5e
"""

from __future__ import annotations

from launch import LaunchDescription
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from asyncvla_ros.ros.launching.arguments import argument, shared
from asyncvla_ros.ros.launching.events import needs
from asyncvla_ros.ros.launching.values import BaseFrame, shipped, value


def generate_launch_description() -> LaunchDescription:
    """Return what ``ros2 launch`` runs."""
    return LaunchDescription(
        [
            argument("robot", "libero_panda", "Contract that names the base frame"),
            argument("namespace", "", "That of the robot"),
            *shared("use_sim_time"),
            argument("rviz_config", shipped("config", "asyncvla.rviz"), "Display file"),
            needs("rviz2"),
            Node(
                package="rviz2",
                executable="rviz2",
                name="rviz",
                namespace=LaunchConfiguration("namespace"),
                arguments=[
                    "-d",
                    LaunchConfiguration("rviz_config"),
                    "-f",
                    BaseFrame(LaunchConfiguration("robot")),
                ],
                parameters=[{"use_sim_time": value("use_sim_time", bool)}],
                output="screen",
            ),
        ]
    )
