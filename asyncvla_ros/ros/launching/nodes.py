"""Launch actions that start the nodes of this package, and rviz."""

from __future__ import annotations

from typing import Any

from launch.actions import IncludeLaunchDescription, SetEnvironmentVariable
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from asyncvla_ros.ros.launching.events import ends_launch, ends_launch_if_refused
from asyncvla_ros.ros.launching.values import shipped, value, when
from asyncvla_ros.ros.middleware import fastdds_environment, has_own_profile


def middleware(processes: int) -> list[SetEnvironmentVariable]:
    """Set the Fast DDS profile for so many processes, if memory suffices and the user has set no other."""
    profile = {} if has_own_profile() else fastdds_environment(processes)
    return [SetEnvironmentVariable(name, text) for name, text in profile.items()]


def tuning() -> LaunchConfiguration:
    """Return the user's parameter file."""
    return LaunchConfiguration("params_file")


def robot_parameters() -> dict[str, ParameterValue]:
    """Return the parameters of every node that knows the robot."""
    return {"robot": value("robot"), "use_sim_time": value("use_sim_time", bool)}


def start_parameters() -> dict[str, ParameterValue]:
    """Return the parameter that says whether a node configures and activates itself."""
    return {"autostart": value("autostart", bool)}


def policy_parameters() -> dict[str, ParameterValue]:
    """Return the parameters that only the policy has."""
    return {name: value(name) for name in ("checkpoint", "device", "instruction")}


def node(name: str, *parameters: Any, kind: type[Node] = Node, **options: Any) -> Node:
    """Start a node of this package in the robot's namespace: ``node("policy")`` runs ``policy_node``.

    Args:
        name: Name of the node, and of its executable unless ``executable`` is given.
        parameters: Files and values; later ones override earlier ones.
        kind: Class of the launch action.
        options: See ``launch_ros.actions.Node``.
    """
    return kind(
        package="asyncvla_ros",
        executable=options.pop("executable", f"{name}_node"),
        name=name,
        namespace=LaunchConfiguration("namespace"),
        parameters=list(parameters),
        output="screen",
        **options,
    )


def controller(*parameters: Any, **options: Any) -> Node:
    """Start the controller; the launch ends with it."""
    return node("controller", *parameters, on_exit=ends_launch("the controller"), **options)


def policy(*parameters: Any, **options: Any) -> Node:
    """Start the policy, and again when it dies, unless starting again cannot help."""
    return node(
        "policy",
        *parameters,
        respawn=True,
        respawn_delay=2.0,
        on_exit=ends_launch_if_refused("the policy"),
        **options,
    )


def recorder(*parameters: Any) -> Node:
    """Start the recorder if the argument ``record`` is true."""
    return node("recorder", *parameters, {"out": value("record_dir")}, condition=when("record"))


def rviz() -> IncludeLaunchDescription:
    """Start rviz2 for this robot if the argument ``rviz`` is true."""
    names = ("robot", "namespace", "use_sim_time")
    return IncludeLaunchDescription(
        PythonLaunchDescriptionSource(shipped("launch", "rviz.launch.py")),
        launch_arguments=[(name, LaunchConfiguration(name)) for name in names],
        condition=when("rviz"),
    )
