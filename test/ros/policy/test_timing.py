"""The nodes in simulated time that runs on, beside the same late answers in the process of an evaluation.

The test makes the clock, which goes on when the nodes have done what belongs to a step. An inference takes
exactly so many steps as the test lets it take.
"""

from __future__ import annotations

import queue
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rosgraph_msgs.msg import Clock

from asyncvla_msgs.msg import ActionChunk as ChunkMessage
from asyncvla_msgs.msg import ActionCommand
from asyncvla_ros.data.message_content import to_ns
from asyncvla_ros.ros import qos
from asyncvla_ros.ros.controller.node import ControllerNode
from asyncvla_ros.ros.conversions import to_time
from asyncvla_ros.ros.policy.node import PolicyNode
from asyncvla_ros.sim.evaluation.episode import run_episode
from asyncvla_ros.sim.evaluation.results import EvalSettings
from asyncvla_ros.strategy import Strategy
from asyncvla_ros.types import ActionChunk, Observation, Previous
from support.fake_robot import FakeRobot, image_message, joint_message, pose_message
from support.node_thread import NodeThread
from support.policies import StillPolicy
from support.ros_client import Inbox, RosClient

pytestmark = pytest.mark.ros
STEP_NS = 50_000_000
#: The clock at step 0; never 0, which ROS takes for "no time yet".
BEGIN_NS = 100 * 10**9
STEPS = 14


class NumberedPolicy(StillPolicy):
    """Its actions say of which inference they are and at which place; remembers the plans it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Previous | None] = []

    def infer(
        self,
        observation: Observation,
        strategy: Strategy = Strategy(),
        previous: Previous | None = None,
        seed: int | None = None,
    ) -> ActionChunk:
        chunk = super().infer(observation, strategy, previous, seed)
        self.told.append(previous)
        chunk.actions[:, 0] = len(self.told) / 100
        chunk.actions[:, 1] = np.arange(self.chunk_size) / 100
        return chunk


class HeldPolicy(NumberedPolicy):
    """Says when an inference begins, and ends it when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.begun: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.end: queue.SimpleQueue[None] = queue.SimpleQueue()

    def infer(self, *args: Any, **more: Any) -> ActionChunk:
        self.begun.put(None)
        self.end.get(timeout=60.0)
        return super().infer(*args, **more)


class Simulation:
    """What the simulator publishes, one control step at a time."""

    def __init__(self, client: RosClient) -> None:
        self._clock = client.publisher(Clock, "/clock", qos.LOCKSTEP_CLOCK)
        self._robot = FakeRobot(client)
        self._robot.wait_for_subscribers()
        self.now_ns = BEGIN_NS
        # Whoever missed a tick hears the next one.
        client.node.create_timer(0.02, self._tick)

    def advance(self) -> None:
        """Publish the clock and the robot's state, as at the begin of a step."""
        self.now_ns += STEP_NS
        self._tick()
        self._publish(pose_message, "ee_pose")
        self._publish(joint_message, "joint_states")

    def show(self) -> None:
        """Publish the cameras, which complete the observation."""
        self._publish(image_message, "agentview/image_raw", "wrist/image_raw")

    def _tick(self) -> None:
        self._clock.publish(Clock(clock=to_time(self.now_ns)))

    def _publish(self, make: Any, *topics: str) -> None:
        for topic in topics:
            self._robot.publishers[topic].publish(make(self.now_ns))


@contextmanager
def running(policy: HeldPolicy, client: RosClient) -> Iterator[PolicyNode]:
    """Policy and controller in simulated time, active."""

    class Node(PolicyNode):
        def load_policy(self) -> Any:
            return policy

    params = {
        **{"use_sim_time": True, "sensor_reliability": "reliable", "instruction": "lift", "max_skew_s": 0.02},
        **{"silence_timeout_s": 60.0, "discovery_s": 0.0},
    }
    thread = NodeThread(Node, params, ControllerNode)
    try:
        for name in ("policy", "controller"):
            assert client.transition(name, "configure") and client.transition(name, "activate")
        yield thread.node  # type: ignore[misc]
    finally:
        for _ in range(STEPS):
            policy.end.put(None)
        thread.stop()


def executed_by_nodes(policy: HeldPolicy, client: RosClient, delay: int, replan: int) -> dict[int, Any]:
    """Step to (number of the answer, place in it) of the last command of each step that is of an answer."""
    chunks = client.subscribe(ChunkMessage, "/policy/action_chunk", qos.CHUNK)
    commands = client.subscribe(ActionCommand, "/controller/command", 1000)
    with running(policy, client) as node:
        simulation = Simulation(client)
        first_ns, inferring, answers = simulation.now_ns + STEP_NS, list[int](), 0
        for step in range(STEPS):
            simulation.advance()
            _wait_for_clock(node, client, simulation.now_ns)
            if inferring and step == inferring[0] + delay:
                inferring.pop(0)
                answers += 1
                policy.end.put(None)
                chunks.wait(count=answers)
            if step % replan == 0:
                simulation.show()
                policy.begun.get(timeout=60.0)
                inferring.append(step)
            if answers:
                _wait_for_command(commands, simulation.now_ns, answers)
    done = {}
    for command in commands.messages:
        if command.source == ActionCommand.SOURCE_CHUNK:
            done[(to_ns(command.header.stamp) - first_ns) // STEP_NS] = (command.chunk_id, command.index)
    return done


def _wait_for_clock(node: PolicyNode, client: RosClient, now_ns: int) -> None:
    client.wait_until(lambda: node.get_clock().now().nanoseconds >= now_ns, "tick at the policy")


def _wait_for_command(commands: Inbox, now_ns: int, answer: int) -> None:
    """Wait until the controller has acted on the newest answer at this step."""

    def fits(command: Any) -> bool:
        stamp_ns = to_ns(command.header.stamp)
        is_newest = command.source == ActionCommand.SOURCE_CHUNK and command.chunk_id == answer
        return is_newest and stamp_ns == now_ns

    commands.wait(where=fits)


class Table:
    """A world of an evaluation in which nothing happens; what was executed says of which answer it is."""

    task = SimpleNamespace(index=0)
    scene = SimpleNamespace(goals=(("open", "drawer"),), object_names=tuple)
    instruction = "lift"

    def __init__(self) -> None:
        self.executed: list[np.ndarray] = []

    @property
    def success(self) -> bool:
        return len(self.executed) == STEPS

    def observe(self, **_: Any) -> Observation:
        return Observation({"agentview": np.zeros((2, 2, 3), np.uint8)}, np.zeros(11, np.float32), "lift")

    def step(self, action: np.ndarray) -> None:
        self.executed.append(action)


@pytest.mark.parametrize("replan", [2, 3])
def test_nodes_execute_what_an_evaluation_with_the_same_delay_does(
    ros_client: RosClient, replan: int
) -> None:
    policy, table = NumberedPolicy(), Table()
    config = EvalSettings("libero_object", (0,), (0,), delay=2, replan=replan)
    episode = run_episode(policy, table, config, 0)  # type: ignore[arg-type]
    expected = {
        step: (round(100 * action[0]), round(100 * action[1]))
        for step, action in enumerate(table.executed)
        if action[0] > 0
    }
    assert len(expected) == STEPS - 2 and episode.dry_steps == 2

    held = HeldPolicy()
    assert executed_by_nodes(held, ros_client, 2, replan) == expected
    told = list(zip(policy.told, held.told, strict=False))
    assert len(told) >= STEPS // replan - 1 and told[0] == (None, None)
    for here, there in told[1:]:
        assert here is not None and there is not None
        np.testing.assert_array_equal(here.actions, there.actions)
        assert here.delay == there.delay == 2
