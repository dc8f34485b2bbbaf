"""Real nodes, each in a context of its own, as if they were processes."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack

import pytest
import rclpy
from rclpy.node import Node
from std_msgs.msg import Empty, Float64MultiArray

from asyncvla_ros.ros import qos
from asyncvla_ros.ros.controller.takeover import other_publishers
from asyncvla_ros.ros.lifecycle import ManagedNode

pytestmark = pytest.mark.ros

ARM, GRIPPER = "/arm/commands", "/gripper/commands"


@pytest.fixture
def start(ros_domain):
    with ExitStack() as stack:

        def start(name: str, namespace: str = "") -> Node:
            context = rclpy.Context()
            context.init()
            stack.callback(context.try_shutdown)
            node = rclpy.create_node(name, namespace=namespace, context=context)
            stack.callback(node.destroy_node)
            return node

        yield start


@pytest.fixture
def controller(start):
    node = start("controller")
    for topic in (ARM, GRIPPER):
        node.create_publisher(Float64MultiArray, topic, qos.COMMAND)
    return node


def wait_for(condition: Callable[[list[str]], bool], node: Node, topics: tuple[str, ...]) -> list[str]:
    deadline = time.monotonic() + 30.0
    while not condition(found := other_publishers(node, topics)):
        assert time.monotonic() < deadline, found
        time.sleep(0.01)
    return found


def is_named(found: list[str]) -> bool:
    return bool(found) and not any("not known yet" in one for one in found)


def test_alone_there_is_nobody_else(controller, start):
    start("observer").create_subscription(Float64MultiArray, ARM, lambda _: None, 1)
    assert other_publishers(controller, (ARM, GRIPPER)) == []


def test_others_are_named_with_type_and_topic(controller, start):
    start("teleop", "/operator").create_publisher(Float64MultiArray, ARM, 1)
    expected = "/operator/teleop (std_msgs/msg/Float64MultiArray) on /arm/commands"
    assert wait_for(is_named, controller, (ARM, GRIPPER)) == [expected]
    assert other_publishers(controller, (GRIPPER,)) == []


def test_another_type_is_another_publisher_all_the_same(controller, start):
    start("stray").create_publisher(Empty, ARM, 1)
    assert wait_for(is_named, controller, (ARM,)) == ["/stray (std_msgs/msg/Empty) on /arm/commands"]


def test_a_second_controller_of_the_same_name_is_told_apart(controller, start):
    second = start("controller")
    publisher = second.create_publisher(Float64MultiArray, ARM, 1)
    expected = ["another /controller (std_msgs/msg/Float64MultiArray) on /arm/commands"]
    assert wait_for(is_named, controller, (ARM,)) == expected
    wait_for(lambda found: found == expected, second, (ARM,))
    second.destroy_publisher(publisher)
    assert wait_for(lambda found: not found, controller, (ARM,)) == []


def test_whoever_leaves_is_forgotten(controller, start):
    other = start("teleop")
    publisher = other.create_publisher(Float64MultiArray, GRIPPER, 1)
    wait_for(is_named, controller, (GRIPPER,))
    other.destroy_publisher(publisher)
    assert wait_for(lambda found: not found, controller, (GRIPPER,)) == []


def test_a_node_that_makes_its_outputs_anew_is_never_its_own_rival(ros_domain):
    """Seen at once after each change: the graph must not lag behind the node itself."""
    rclpy.init()
    node = ManagedNode("controller")
    try:
        for _ in range(20):
            node.advertise(Float64MultiArray, "~/out", qos.COMMAND)
            assert other_publishers(node, ["/controller/out"]) == []
            node.resources.close()
            assert other_publishers(node, ["/controller/out"]) == []
    finally:
        node.destroy_node()
        rclpy.shutdown()


def test_somebody_else_is_seen_where_the_node_itself_does_not_publish(start):
    node = start("controller")
    start("controller").create_publisher(Float64MultiArray, ARM, 1)
    assert wait_for(is_named, node, (ARM,))[0].startswith("another /controller")
