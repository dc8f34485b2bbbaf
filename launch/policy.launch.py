"""The policy and the controller of one robot whose cameras and driver run already.

ros2 launch asyncvla_ros policy.launch.py robot:=my_robot.yaml checkpoint:=my_checkpoint
"""

from __future__ import annotations

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from asyncvla_ros.ros.launching import (
    ends_launch,
    ends_launch_if_refused,
    middleware,
    reads_first,
    shipped,
    value,
)


def generate_launch_description() -> LaunchDescription:
    """What ``ros2 launch`` runs."""
    common = {
        "robot": value("robot"),
        "use_sim_time": value("use_sim_time", bool),
        "autostart": value("autostart", bool),
    }
    policy = {
        "checkpoint": value("checkpoint"),
        "device": value("device"),
        "instruction": value("instruction"),
    }
    default_file = shipped("config", "policy.yaml")
    return LaunchDescription(
        [
            *middleware(processes=2),
            DeclareLaunchArgument("checkpoint", default_value="", description="Folder; empty: shipped"),
            DeclareLaunchArgument("robot", description="Its contract: name or .yaml, see asyncvla check"),
            DeclareLaunchArgument("device", default_value="cpu", description="torch device, such as cuda:0"),
            DeclareLaunchArgument("instruction", default_value="", description="Empty: wait for a task"),
            DeclareLaunchArgument("namespace", default_value="", description="One per robot"),
            DeclareLaunchArgument("use_sim_time", default_value="false", description="Follow /clock"),
            DeclareLaunchArgument("params_file", default_value=default_file, description="Tuning"),
            DeclareLaunchArgument("autostart", default_value="true", description="Configure and activate"),
            reads_first(common, policy),
            # Holds, idle, before the policy acts: it needs no model and so is up first.
            Node(
                package="asyncvla_ros",
                executable="controller_node",
                name="controller",
                namespace=LaunchConfiguration("namespace"),
                parameters=[LaunchConfiguration("params_file"), common],
                output="screen",
                on_exit=ends_launch("the controller"),
            ),
            Node(
                package="asyncvla_ros",
                executable="policy_node",
                name="policy",
                namespace=LaunchConfiguration("namespace"),
                parameters=[LaunchConfiguration("params_file"), common, policy],
                output="screen",
                respawn=True,
                respawn_delay=2.0,
                on_exit=ends_launch_if_refused("the policy"),
            ),
        ]
    )
