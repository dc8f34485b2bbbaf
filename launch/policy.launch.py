"""The policy and the controller of one robot whose cameras and driver run already.

ros2 launch asyncvla_ros policy.launch.py robot:=my_robot.yaml checkpoint:=my_checkpoint
"""

from __future__ import annotations

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from asyncvla_ros.ros.middleware import fastdds_environment


def _value(name: str, kind: type = str) -> ParameterValue:
    """A launch argument as a parameter of a fixed type: a text such as "on" stays a text."""
    return ParameterValue(LaunchConfiguration(name), value_type=kind)


def generate_launch_description() -> LaunchDescription:
    """What ``ros2 launch`` runs."""
    common = {
        "robot": _value("robot"),
        "use_sim_time": _value("use_sim_time", bool),
        "autostart": _value("autostart", bool),
    }
    policy = {
        "checkpoint": _value("checkpoint"),
        "device": _value("device"),
        "instruction": _value("instruction"),
    }
    default_file = PathJoinSubstitution([FindPackageShare("asyncvla_ros"), "config", "policy.yaml"])
    return LaunchDescription(
        [
            *(
                SetEnvironmentVariable(name, value)
                for name, value in fastdds_environment(processes=2).items()
            ),
            DeclareLaunchArgument("checkpoint", default_value="", description="Folder; empty: shipped"),
            DeclareLaunchArgument("robot", default_value="libero_panda", description="Name or .yaml"),
            DeclareLaunchArgument("device", default_value="cpu", description="torch device, such as cuda:0"),
            DeclareLaunchArgument("instruction", default_value="", description="Empty: wait for a task"),
            DeclareLaunchArgument("namespace", default_value="", description="One per robot"),
            DeclareLaunchArgument("use_sim_time", default_value="false", description="Follow /clock"),
            DeclareLaunchArgument("params_file", default_value=default_file, description="Tuning"),
            DeclareLaunchArgument("autostart", default_value="true", description="Configure and activate"),
            # Holds, idle, before the policy acts: it needs no model and so is up first.
            Node(
                package="asyncvla_ros",
                executable="controller_node",
                name="controller",
                namespace=LaunchConfiguration("namespace"),
                parameters=[LaunchConfiguration("params_file"), common],
                output="screen",
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
            ),
        ]
    )
