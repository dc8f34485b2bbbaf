"""Parameters declared as a dataclass."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import rclpy
from rclpy.exceptions import InvalidParameterTypeException, ParameterException
from rclpy.node import Node
from rclpy.parameter import Parameter

from asyncvla_ros.ros.parameters import Parameters, parameter
from asyncvla_ros.types import AsyncVLAError

pytestmark = pytest.mark.ros


@dataclass(frozen=True)
class Sample:
    mode: str = parameter("slow", "Pace", choices=("slow", "fast"))
    limit_s: float = parameter(1.0, "Limit [s]", minimum=0.5, maximum=2.0)
    count: int = parameter(3, "Count", minimum=0, maximum=10, read_only=True)


@pytest.fixture
def make(ros_domain):
    rclpy.init()
    nodes = []

    def make(on_change=None, **overrides):
        initial = [Parameter(name, value=value) for name, value in overrides.items()]
        nodes.append(Node("sample", parameter_overrides=initial))
        return nodes[-1], Parameters(nodes[-1], Sample, on_change)

    yield make
    for node in nodes:
        node.destroy_node()
    rclpy.shutdown()


def test_defaults_and_overrides(make):
    assert make()[1].values == Sample(mode="slow", limit_s=1.0, count=3)
    assert make(mode="fast", count=0)[1].values == Sample(mode="fast", limit_s=1.0, count=0)


def test_descriptions_ranges_and_choices_are_declared(make):
    node, _ = make()
    assert node.describe_parameter("mode").description == "Pace; one of slow, fast"
    assert node.describe_parameter("limit_s").floating_point_range[0].to_value == 2.0
    assert node.describe_parameter("count").read_only


@pytest.mark.parametrize("overrides", [{"limit_s": 3.0}, {"count": 11}])
def test_initial_values_out_of_range(make, overrides):
    with pytest.raises(ParameterException):
        make(**overrides)


def test_initial_values_of_another_type_or_choice(make):
    with pytest.raises(InvalidParameterTypeException):
        make(limit_s="long")
    with pytest.raises(AsyncVLAError, match="parameter mode is 'warp', expected one of slow, fast"):
        make(mode="warp")


def test_changes_are_checked_and_take_effect(make):
    def refuse_fast_and_long(old, new):
        if new.mode == "fast" and new.limit_s > 1.5:
            raise AsyncVLAError("too much")

    node, parameters = make(refuse_fast_and_long)

    def set_one(name, value):
        (result,) = node.set_parameters([Parameter(name, value=value)])
        return result

    assert set_one("mode", "fast").successful and parameters.values.mode == "fast"
    assert "expected one of slow, fast" in set_one("mode", "warp").reason
    assert not set_one("limit_s", 3.0).successful
    assert set_one("limit_s", 2.0).reason == "too much"
    assert not set_one("count", 4).successful
    assert parameters.values == Sample(mode="fast", limit_s=1.0, count=3)
    assert set_one("use_sim_time", value=True).successful, "other parameters are none of its business"
