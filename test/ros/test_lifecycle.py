"""Transition callbacks: what they raise is said, and nothing is left behind."""

from __future__ import annotations

import pytest
import rclpy
from rclpy.lifecycle import TransitionCallbackReturn
from std_msgs.msg import Empty

from asyncvla_ros.ros import qos
from asyncvla_ros.ros.lifecycle import ManagedNode
from asyncvla_ros.types import AsyncVLAError

pytestmark = pytest.mark.ros

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
ERROR = TransitionCallbackReturn.ERROR


class Fragile(ManagedNode):
    """Fails where it is told to, and notes what was called."""

    def __init__(self):
        super().__init__("fragile")
        self.breaks: dict[str, Exception] = {}
        self.calls: list[str] = []

    def _act(self, name):
        self.calls.append(name)
        if name in self.breaks:
            raise self.breaks[name]

    def configure(self):
        self.publisher = self.advertise(Empty, "~/out", qos.COMMAND)
        self.subscribe(Empty, "~/in", lambda _: None, qos.COMMAND)
        self.resources.callback(self.calls.append, "released")
        self._act("configure")

    def activate(self):
        self._act("activate")

    def deactivate(self):
        self._act("deactivate")


@pytest.fixture
def node(ros_domain):
    rclpy.init()
    built = Fragile()
    yield built
    built.destroy_node()
    rclpy.shutdown()


def _label(node):
    return node._state_machine.current_state[1]


def _entities(node):
    return len(list(node.publishers)), len(list(node.subscriptions))


def test_round_trip_releases_everything(node):
    before = _entities(node)
    assert node.start()
    assert node.is_active and _label(node) == "active"
    assert node.trigger_deactivate() == SUCCESS
    assert not node.is_active
    assert node.trigger_cleanup() == SUCCESS
    assert _entities(node) == before
    assert node.calls == ["configure", "activate", "deactivate", "released"]
    node.teardown()
    assert node.calls[-1] == "released" and node.calls.count("released") == 1, "twice does no harm"


def test_an_expected_error_fails_configure_with_its_message(node, capfd):
    before = _entities(node)
    node.breaks["configure"] = AsyncVLAError("expected a, found b")
    assert node.trigger_configure() == FAILURE
    assert _label(node) == "unconfigured"
    assert _entities(node) == before
    assert "cannot configure: expected a, found b" in capfd.readouterr().err
    node.breaks.clear()
    assert node.is_refused
    assert node.start() and not node.is_refused, "and it can be tried again"


def test_an_error_of_the_system_is_one_line(node, capfd):
    node.breaks["configure"] = OSError(28, "No space left on device", "/full/disk")
    assert not node.start() and node.is_refused
    said = capfd.readouterr().err
    assert "cannot configure: [Errno 28] No space left on device: '/full/disk'" in said
    assert "Traceback" not in said


def test_a_bug_is_logged_with_its_traceback(node, capfd):
    node.breaks["configure"] = ZeroDivisionError("a bug")
    assert node.trigger_configure() == ERROR
    assert _label(node) == "unconfigured"
    assert node.calls.count("released") == 1
    error = capfd.readouterr().err
    assert "Traceback" in error and "ZeroDivisionError: a bug" in error and "test_lifecycle.py" in error


def test_a_failed_activation_leaves_it_inactive(node):
    node.breaks["activate"] = AsyncVLAError("no power")
    assert not node.start()
    assert _label(node) == "inactive" and not node.is_active
    assert node.calls == ["configure", "activate", "deactivate"]


def test_shutdown_from_active_deactivates_first(node):
    node.start()
    node.trigger_shutdown()
    assert _label(node) == "finalized"
    assert node.calls[-2:] == ["deactivate", "released"]


LOADS_FOR_EVER = """
import threading
from asyncvla_ros.ros.lifecycle import ManagedNode, run_node


class Slow(ManagedNode):
    def __init__(self):
        super().__init__("slow")
        self.declare_parameter("autostart", True)

    def configure(self):
        self.get_logger().info("loading")
        threading.Event().wait()


run_node(Slow)
"""


def test_a_node_interrupted_while_it_loads_has_not_failed(start_process):
    process = start_process("-c", LOADS_FOR_EVER)
    process.wait_for_output("loading")
    assert process.stop() == 0
    process.wait_for_output("interrupted while it was configured")


INTERRUPTED_AGAIN_AND_AGAIN = """
import os, signal, sys, threading, time
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from std_msgs.msg import Empty
from asyncvla_ros.ros import lifecycle, qos

active = threading.Event()


class Busy(lifecycle.ManagedNode):
    def __init__(self):
        super().__init__("busy")
        self.declare_parameter("autostart", True)

    def configure(self):
        # Threads take turns as often as they can: what may happen between two instructions, happens.
        sys.setswitchinterval(1e-6)
        self.publisher = self.advertise(Empty, "~/out", qos.COMMAND)
        for period in (0.0005, 0.0007, 0.001):
            timer = self.create_timer(period, self.tick, clock=Clock(clock_type=ClockType.STEADY_TIME))
            self.resources.callback(self.destroy_timer, timer)

    def activate(self):
        active.set()

    def deactivate(self):
        active.clear()

    def tick(self):
        if self.is_active:
            self.publisher.publish(Empty())


def interrupt(after):
    active.wait()
    time.sleep(after)
    os.kill(os.getpid(), signal.SIGINT)


codes = []
for round in range(ROUNDS):
    threading.Thread(target=interrupt, args=(0.0002 * round,)).start()
    codes.append(lifecycle._run(Busy))
print("ended with", sorted(set(codes)), flush=True)
"""


def test_an_interrupted_node_never_fails(start_process):
    """``Executor.shutdown`` beside a thread that spins ended one in four of these with exit code 1."""
    process = start_process("-c", INTERRUPTED_AGAIN_AND_AGAIN.replace("ROUNDS", "50"))
    process.wait_for_output("ended with [0]", timeout=60.0)


HANGS = """
import threading
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from asyncvla_ros.ros.lifecycle import ManagedNode, run_node


class Hanging(ManagedNode):
    def __init__(self):
        super().__init__("hanging")
        self.declare_parameter("autostart", True)

    def configure(self):
        self.create_timer(0.01, self.hang, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def activate(self):
        pass

    def hang(self):
        print("hangs", flush=True)
        threading.Event().wait()

    def deactivate(self):
        print("deactivated", flush=True)


run_node(Hanging)
"""


def test_a_callback_that_hangs_does_not_keep_the_node_from_being_deactivated(start_process):
    process = start_process("-c", HANGS)
    process.wait_for_output("hangs")
    assert process.stop() == 1
    process.wait_for_output("deactivated")
    process.wait_for_output("a callback did not end within 4 s")
