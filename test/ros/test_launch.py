"""The shipped launch files under the real launch_ros, as far as they go without starting anything."""

from __future__ import annotations

import pytest

from asyncvla_ros.paths import share_dir

pytestmark = [pytest.mark.ros, pytest.mark.launch]

FILES = sorted((share_dir() / "launch").glob("*.launch.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_arguments_and_nodes(path):
    from launch import LaunchContext
    from launch.launch_description_sources import PythonLaunchDescriptionSource
    from launch_ros.actions import Node

    description = PythonLaunchDescriptionSource(str(path)).get_launch_description(LaunchContext())
    arguments = {argument.name: argument for argument in description.get_launch_arguments()}
    assert {"checkpoint", "device", "namespace", "params_file", "autostart"} <= set(arguments)
    assert all(argument.description for argument in arguments.values())
    assert all(argument.default_value is not None for argument in arguments.values()), "nothing is required"
    executables = {node.node_executable for node in description.entities if isinstance(node, Node)}
    expected = {"policy_node", "controller_node"} | ({"libero_sim_node"} if "libero" in path.name else set())
    assert executables == expected
