"""LIBERO as a robot, with policy and controller: what ``asyncvla demo`` runs without ``ros2 launch``.

ros2 launch asyncvla_ros libero.launch.py task:=3
"""

from __future__ import annotations

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterFile, ParameterValue

from asyncvla_ros.ros.launching import (
    ExecuteSteps,
    TaskInstruction,
    ends_launch,
    ends_launch_if_refused,
    middleware,
    reads_first,
    recording,
    shipped,
    value,
)


def _tuning(name: str) -> ParameterFile:
    """A parameter file of ``config/libero``."""
    return ParameterFile(shipped("config", "libero", name))


def generate_launch_description() -> LaunchDescription:
    """What ``ros2 launch`` runs."""
    common = {"lockstep": value("lockstep", bool), "autostart": value("autostart", bool)}
    policy = {
        "checkpoint": value("checkpoint"),
        "device": value("device"),
        "instruction": ParameterValue(
            TaskInstruction(*map(LaunchConfiguration, ("instruction", "suite", "task"))), value_type=str
        ),
    }
    episode = {
        "suite": value("suite"),
        "task": value("task", int),
        "init": value("init", int),
        # It makes the clock the others follow.
        "use_sim_time": False,
    }
    # Controller and simulator must agree on it.
    steps = {"execute_steps": ParameterValue(ExecuteSteps(LaunchConfiguration("checkpoint")), value_type=int)}
    overrides = ParameterFile(LaunchConfiguration("params_file"))
    return LaunchDescription(
        [
            *middleware(processes=3),
            DeclareLaunchArgument("checkpoint", default_value="", description="Folder; empty: shipped"),
            DeclareLaunchArgument("device", default_value="cpu", description="torch device, such as cuda:0"),
            DeclareLaunchArgument("suite", default_value="libero_object", description="LIBERO suite"),
            DeclareLaunchArgument("task", default_value="0", description="Task of the suite"),
            DeclareLaunchArgument("init", default_value="0", description="Initial state; -1: random"),
            DeclareLaunchArgument(
                "instruction",
                default_value="",
                description="What the policy is told; empty: what the task says",
            ),
            DeclareLaunchArgument("lockstep", default_value="true", description="The world waits"),
            DeclareLaunchArgument("namespace", default_value="", description="One per robot"),
            DeclareLaunchArgument(
                "params_file",
                default_value=shipped("config", "libero", "world.yaml"),
                description="Overrides of the files in config/libero, for all nodes",
            ),
            DeclareLaunchArgument("autostart", default_value="true", description="Configure and activate"),
            *recording(),
            reads_first(common, episode, steps, policy),
            Node(
                package="asyncvla_ros",
                executable="controller_node",
                name="controller",
                namespace=LaunchConfiguration("namespace"),
                parameters=[_tuning("world.yaml"), _tuning("controller.yaml"), steps, overrides, common],
                output="screen",
                on_exit=ends_launch("the controller"),
            ),
            Node(
                package="asyncvla_ros",
                executable="policy_node",
                name="policy",
                namespace=LaunchConfiguration("namespace"),
                parameters=[_tuning("world.yaml"), _tuning("policy.yaml"), overrides, common, policy],
                output="screen",
                respawn=True,
                respawn_delay=2.0,
                on_exit=ends_launch_if_refused("the policy"),
            ),
            Node(
                package="asyncvla_ros",
                executable="libero_sim_node",
                name="libero_sim",
                namespace=LaunchConfiguration("namespace"),
                parameters=[
                    _tuning("world.yaml"),
                    _tuning("libero_sim.yaml"),
                    steps,
                    overrides,
                    common,
                    episode,
                ],
                output="screen",
                on_exit=ends_launch("the simulator"),
            ),
            Node(
                package="asyncvla_ros",
                executable="recorder_node",
                name="recorder",
                namespace=LaunchConfiguration("namespace"),
                parameters=[
                    _tuning("world.yaml"),
                    _tuning("recorder.yaml"),
                    overrides,
                    {"out": value("record_dir"), "autostart": value("autostart", bool)},
                ],
                output="screen",
                condition=IfCondition(LaunchConfiguration("record")),
            ),
        ]
    )
