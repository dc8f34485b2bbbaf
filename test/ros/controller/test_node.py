"""controller_node in a process of its own; the test plays policy and robot."""

from __future__ import annotations

import signal
import time

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.duration import Duration
from rosgraph_msgs.msg import Clock
from std_srvs.srv import Trigger

from asyncvla_msgs.msg import ActionCommand, ControllerStatus
from asyncvla_ros.data.message_content import to_ns
from asyncvla_ros.ros import qos
from asyncvla_ros.ros.conversions import to_time
from support.contracts import MS, STEP_NS
from support.fake_robot import ChunkPeer, FakeRobot
from support.ros_client import RosClient, report_values

pytestmark = pytest.mark.ros


def _mode(mode: int):
    return lambda status: status.mode == mode


def _send_until_followed(policy, commands):
    """Send chunks until one is followed: none is before the arm was seen at rest."""
    for _ in range(10):
        policy.send()
        try:
            return commands.wait(where=lambda c: c.source == ActionCommand.SOURCE_CHUNK, timeout=1.0)
        except AssertionError:
            continue
    raise AssertionError("none of ten chunks was followed")


@pytest.fixture
def heard(panda_controller, ros_client):
    """Commands and status of a controller that waits for chunks."""
    commands = ros_client.subscribe(ActionCommand, "/controller/command", 100)
    status = ros_client.subscribe(ControllerStatus, "/controller/status", qos.STATUS)
    status.wait(where=_mode(ControllerStatus.MODE_IDLE))
    return commands, status


def test_a_command_says_which_action_of_which_chunk_it_is(heard, ros_client):
    commands, _ = heard
    sent = ChunkPeer(ros_client).send(confidence=np.full(8, 0.75, np.float32))
    command = commands.wait(where=lambda c: c.source == ActionCommand.SOURCE_CHUNK)
    assert (command.chunk_id, command.session_id, command.confidence) == (1, 7, 0.75)
    assert to_ns(command.header.stamp) == sent.due_ns(command.index)
    assert to_ns(command.observation_stamp) == sent.stamp_ns
    assert command.action[0] == pytest.approx(sent.actions[command.index, 0], abs=2e-4), "within its limits"


def test_each_action_is_commanded_at_most_once_and_a_hold_stands_still(heard, ros_client):
    commands, status = heard
    ChunkPeer(ros_client).send()
    status.wait(where=lambda s: s.reason_code == ControllerStatus.REASON_CHUNK_STALE)
    indices = [c.index for c in commands.messages if c.source == ActionCommand.SOURCE_CHUNK]
    assert indices and indices == sorted(set(indices)), "in order"
    held = [c for c in commands.messages if c.source == ActionCommand.SOURCE_HOLD]
    assert np.abs([c.action[:6] for c in held]).max() < 1e-3, "it brakes, and that is little"
    assert not np.any(held[-1].action[:6])


def test_a_hold_has_a_reason_everywhere_until_the_next_chunk(heard, panda_controller, ros_client):
    _, status = heard
    diagnostics = ros_client.subscribe(DiagnosticArray, "/diagnostics", 10)
    policy = ChunkPeer(ros_client)
    policy.send()
    stale = status.wait(where=lambda s: s.reason_code == ControllerStatus.REASON_CHUNK_STALE)
    assert stale.mode == ControllerStatus.MODE_HOLDING and "is the policy running?" in stale.reason
    assert stale.underruns > 0 and stale.accepted_chunks == 1
    entry = diagnostics.wait(where=lambda d: d.status[0].message.startswith("HOLDING chunk 1 was observed"))
    values = report_values(entry)
    assert values["mode"] == "HOLDING" and values["reason"] == "CHUNK_STALE"
    panda_controller.wait_for_output("HOLDING")
    status.clear()
    policy.send()
    status.wait(where=_mode(ControllerStatus.MODE_TRACKING))


def test_a_controller_that_stood_still_says_so(panda_controller, ros_client):
    status = ros_client.subscribe(ControllerStatus, "/controller/status", qos.STATUS)
    diagnostics = ros_client.subscribe(DiagnosticArray, "/diagnostics", 10)
    commands = ros_client.subscribe(ActionCommand, "/controller/command", 100)
    status.wait(where=_mode(ControllerStatus.MODE_IDLE))
    _send_until_followed(ChunkPeer(ros_client), commands)
    status.clear()
    status.wait(where=_mode(ControllerStatus.MODE_HOLDING))
    panda_controller.process.send_signal(signal.SIGSTOP)
    time.sleep(0.5)
    panda_controller.process.send_signal(signal.SIGCONT)
    status.wait(where=lambda s: to_ns(s.lateness_worst) > 300 * MS and to_ns(s.lateness_p99) >= 0)

    def metrics(message: DiagnosticArray) -> dict[str, float]:
        values = report_values(message)
        return {key: float(values[key]) for key in values if "late" in key or "gaps" in key}

    told = diagnostics.wait(where=lambda d: metrics(d)["command lateness worst [ms]"] > 300)
    assert metrics(told)["command gaps"] >= 1
    assert metrics(told)["command lateness p99 [ms]"] >= 0


def test_stop_is_latched_and_the_last_command_is_a_hold(panda_controller, ros_client):
    commands = ros_client.subscribe(ActionCommand, "/controller/command", 1000)
    status = ros_client.subscribe(ControllerStatus, "/controller/status", qos.STATUS)
    policy = ChunkPeer(ros_client)
    policy.send()
    status.wait(where=_mode(ControllerStatus.MODE_TRACKING))
    assert ros_client.call(Trigger, "/controller/estop", Trigger.Request()).success
    status.wait(where=_mode(ControllerStatus.MODE_ESTOP))
    status.clear()
    policy.send()
    accepted = status.wait(where=lambda s: s.accepted_chunks == 2)
    assert accepted.mode == ControllerStatus.MODE_ESTOP
    assert ros_client.call(Trigger, "/controller/reset", Trigger.Request()).success
    assert not ros_client.call(Trigger, "/controller/reset", Trigger.Request()).success
    status.clear()
    policy.send()
    status.wait(where=_mode(ControllerStatus.MODE_TRACKING))
    assert panda_controller.stop() == 0
    status.wait(where=lambda s: s.reason_code == ControllerStatus.REASON_INACTIVE)
    assert commands.messages[-1].source == ActionCommand.SOURCE_HOLD


class LockstepWorld:
    """A world that goes on a step per tick, its robot, and a policy that decides every three steps."""

    def __init__(self, client: RosClient, begin_ns: int):
        self._robot = FakeRobot(client, cameras=False)
        self._robot.wait_for_subscribers()
        # The controller knows where the arm is before the first chunk comes, as in a simulation.
        self._robot.publish(begin_ns)
        for publisher in self._robot.publishers.values():
            assert publisher.wait_for_all_acked(Duration(seconds=20))
        self._policy = ChunkPeer(client)
        self._clock = client.publisher(Clock, "/clock", qos.LOCKSTEP_CLOCK)
        client.wait_until(
            lambda: self._clock.get_subscription_count() >= 2, "the controller's own clock subscription"
        )

    def tick(self, stamp_ns: int) -> None:
        self._clock.publish(Clock(clock=to_time(stamp_ns)))

    def decide(self, stamp_ns: int, *, tick_first: bool) -> None:
        """Publish state, chunk and tick; the last two come on different topics: either may arrive first."""
        self._robot.publish(stamp_ns)
        if tick_first:
            self.tick(stamp_ns)
        self._policy.send(stamp_ns)
        if not tick_first:
            self.tick(stamp_ns)


def test_lockstep_answers_each_tick_with_the_due_action(start_node, ros_client):
    params = {"autostart": True, "lockstep": True, "n_action_steps": 3, "use_sim_time": True}
    params |= {"silence_timeout_s": 1.0, "sensor_reliability": "reliable"}
    node = start_node("controller_node", params=params)
    commands = ros_client.subscribe(ActionCommand, "/controller/command", 100)
    status = ros_client.subscribe(ControllerStatus, "/controller/status", qos.STATUS)
    begin = 20 * STEP_NS
    world = LockstepWorld(ros_client, begin)
    for decision in range(5):
        stamp = begin + decision * 3 * STEP_NS
        world.decide(stamp, tick_first=decision % 2 == 1)
        for index in range(3):
            command = commands.wait(count=decision * 3 + index + 1)
            assert to_ns(command.header.stamp) == stamp + index * STEP_NS
            assert (command.chunk_id, command.index) == (decision + 1, index)
            if index < 2:
                world.tick(stamp + (index + 1) * STEP_NS)
    # What came before a tick's own robot state was held for a moment.
    status.clear()
    world.tick(begin + 15 * STEP_NS)
    held = status.wait(where=_mode(ControllerStatus.MODE_HOLDING))
    assert held.reason_code == ControllerStatus.REASON_UNDERRUN
    assert "of wall time; the world waits" in held.reason
    node.wait_for_output("HOLDING no chunk for")
    assert "[WARN]" not in node.output, "the task may be solved: nothing is wrong"
    assert len(commands.messages) == 15, "in lockstep a hold is not a command: the world stands still"
    assert held.underruns == 0


def test_a_missing_robot_contract_fails_configure_with_the_choices(start_node, ros_client):
    node = start_node("controller_node", params={"robot": "ur17"})
    assert not ros_client.transition("controller", "configure")
    assert ros_client.state("controller") == "unconfigured"
    node.wait_for_output("cannot configure: no robot contract 'ur17'")
    node.wait_for_output("libero_panda")


def test_lifecycle_can_go_round(start_node, ros_client):
    start_node("controller_node")
    for _ in range(2):
        for name in ("configure", "activate", "deactivate", "cleanup"):
            assert ros_client.transition("controller", name), name
    assert ros_client.state("controller") == "unconfigured"
