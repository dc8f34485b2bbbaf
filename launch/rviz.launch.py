"""rviz2 with the robot, its cameras, the predicted path and the overlay.

ros2 launch asyncvla_ros rviz.launch.py robot:=ur5e
"""

from __future__ import annotations

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from asyncvla_ros.ros.launching import BaseFrame, needs, shipped, value


def generate_launch_description() -> LaunchDescription:
    """What ``ros2 launch`` runs."""
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                "robot", default_value="libero_panda", description="Contract that names the base frame"
            ),
            DeclareLaunchArgument("namespace", default_value="", description="That of the robot"),
            DeclareLaunchArgument("use_sim_time", default_value="false", description="Follow /clock"),
            DeclareLaunchArgument(
                "rviz_config", default_value=shipped("config", "asyncvla.rviz"), description="Display file"
            ),
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
