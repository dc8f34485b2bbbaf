"""A parameter is still read by its retired name."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import rclpy
from rclpy.node import Node
from rclpy.parameter import Parameter

from asyncvla_ros.ros.parameters import Parameters, parameter
from asyncvla_ros.types import AsyncVLAError

pytestmark = pytest.mark.ros


@dataclass(frozen=True)
class Sample:
    n_action_steps: int = parameter(0, "Steps", minimum=0, maximum=10, read_only=True, former="execute_steps")


@pytest.fixture
def make(ros_domain):
    rclpy.init()
    nodes = []

    def make(**overrides):
        initial = [Parameter(name, value=value) for name, value in overrides.items()]
        nodes.append(Node("sample", parameter_overrides=initial))
        return Parameters(nodes[-1], Sample).values.n_action_steps

    yield make
    for node in nodes:
        node.destroy_node()
    rclpy.shutdown()


def test_the_retired_name_gives_the_value_unless_the_present_one_does(make, capfd):
    assert make() == 0 and "deprecated" not in capfd.readouterr().err
    assert make(execute_steps=4) == 4
    said = capfd.readouterr().err
    assert said.count("parameter execute_steps is deprecated, use n_action_steps") == 1
    assert make(execute_steps=4, n_action_steps=2) == 2


def test_a_value_of_another_type_is_named(make):
    with pytest.raises(AsyncVLAError, match="parameter execute_steps is 'four', expected one such as 0"):
        make(execute_steps="four")
