r"""LIBERO as a robot, with policy and controller: what ``asyncvla demo`` runs without ``ros2 launch``.

    ros2 launch asyncvla_ros libero.launch.py task:=3 \
        instruction:="pick up the bbq sauce and place it in the basket"
"""

from __future__ import annotations

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, SetEnvironmentVariable, Shutdown
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterFile, ParameterValue
from launch_ros.substitutions import FindPackageShare

from asyncvla_ros.ros.middleware import fastdds_environment


def _value(name: str, kind: type = str) -> ParameterValue:
    """A launch argument as a parameter of a fixed type: a text such as "on" stays a text."""
    return ParameterValue(LaunchConfiguration(name), value_type=kind)


def _shipped(name: str) -> ParameterFile:
    """A parameter file of ``config/libero``."""
    return ParameterFile(PathJoinSubstitution([FindPackageShare("asyncvla_ros"), "config", "libero", name]))


def generate_launch_description() -> LaunchDescription:
    """What ``ros2 launch`` runs."""
    common = {"lockstep": _value("lockstep", bool), "autostart": _value("autostart", bool)}
    policy = {
        "checkpoint": _value("checkpoint"),
        "device": _value("device"),
        "instruction": _value("instruction"),
    }
    episode = {
        "suite": _value("suite"),
        "task": _value("task", int),
        "init": _value("init", int),
        # It makes the clock the others follow.
        "use_sim_time": False,
    }
    overrides = ParameterFile(LaunchConfiguration("params_file"))
    return LaunchDescription(
        [
            *(
                SetEnvironmentVariable(name, value)
                for name, value in fastdds_environment(processes=3).items()
            ),
            DeclareLaunchArgument("checkpoint", default_value="", description="Folder; empty: shipped"),
            DeclareLaunchArgument("device", default_value="cpu", description="torch device, such as cuda:0"),
            DeclareLaunchArgument("suite", default_value="libero_object", description="LIBERO suite"),
            DeclareLaunchArgument("task", default_value="0", description="Task of the suite"),
            DeclareLaunchArgument("init", default_value="0", description="Initial state; -1: random"),
            DeclareLaunchArgument(
                "instruction",
                default_value="pick up the alphabet soup and place it in the basket",
                description="What the policy is told; that of task 0 of libero_object unless given",
            ),
            DeclareLaunchArgument("lockstep", default_value="true", description="The world waits"),
            DeclareLaunchArgument("namespace", default_value="", description="One per robot"),
            DeclareLaunchArgument(
                "params_file",
                default_value=PathJoinSubstitution(
                    [FindPackageShare("asyncvla_ros"), "config", "libero", "world.yaml"]
                ),
                description="Overrides of the files in config/libero, for all nodes",
            ),
            DeclareLaunchArgument("autostart", default_value="true", description="Configure and activate"),
            Node(
                package="asyncvla_ros",
                executable="controller_node",
                name="controller",
                namespace=LaunchConfiguration("namespace"),
                parameters=[_shipped("world.yaml"), _shipped("controller.yaml"), overrides, common],
                output="screen",
            ),
            Node(
                package="asyncvla_ros",
                executable="policy_node",
                name="policy",
                namespace=LaunchConfiguration("namespace"),
                parameters=[_shipped("world.yaml"), _shipped("policy.yaml"), overrides, common, policy],
                output="screen",
                respawn=True,
                respawn_delay=2.0,
            ),
            Node(
                package="asyncvla_ros",
                executable="libero_sim_node",
                name="libero_sim",
                namespace=LaunchConfiguration("namespace"),
                parameters=[
                    _shipped("world.yaml"),
                    _shipped("libero_sim.yaml"),
                    overrides,
                    common,
                    episode,
                ],
                output="screen",
                on_exit=Shutdown(reason="the simulator ended"),
            ),
        ]
    )
