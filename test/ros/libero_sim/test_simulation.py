"""The simulation's thread: what it shows, what it obeys, and how it ends. Without LIBERO."""

from __future__ import annotations

import queue
from types import SimpleNamespace

import numpy as np
import pytest

from asyncvla_ros.ros.libero_sim import simulation as module
from asyncvla_ros.ros.libero_sim.parameters import SimParameters
from asyncvla_ros.ros.libero_sim.simulation import Simulation
from asyncvla_ros.sim.libero.world import DueAction, EpisodeState, Scenario
from asyncvla_ros.types import AsyncVLAError, RunError

pytestmark = pytest.mark.ros
STEP = 50_000_000
FIRST = Scenario("libero_object", 0, 0)
#: What is shown of a moment at which the robot is observed, in order.
MOMENT = ["status", "images", "state", "clock"]


class Room:
    """An environment that is solved after two steps; a step of 9 breaks it."""

    instruction = "wait"

    def __init__(self):
        self.actions, self.is_closed = [], False

    @property
    def success(self):
        return len(self.actions) >= 2

    def require_init(self, index):
        if index > 9:
            raise AsyncVLAError("no such state")

    def reset_to_init(self, index):
        self.actions = []

    def step(self, action):
        if action[0] == 9:
            raise ValueError("the world is broken")
        self.actions.append(action.tolist())

    def close(self):
        self.is_closed = True


class Streams:
    """Says what was shown."""

    def __init__(self):
        self.shown = queue.SimpleQueue()

    def publish_status(self, world, state=None, fault=""):
        self.shown.put(fault or "status")

    def publish_images(self, world):
        self.shown.put("images")

    def publish_state(self, world):
        self.shown.put("state")

    def publish_clock(self, world):
        self.shown.put("clock")

    def next(self, count):
        return [self.shown.get(timeout=60) for _ in range(count)]


class Rig:
    """A simulation in lockstep, which is observed at every step."""

    def __init__(self, room):
        self.said = []
        log = SimpleNamespace(info=self.said.append, fatal=self.said.append)
        node = SimpleNamespace(get_logger=lambda: log)
        params = SimpleNamespace(values=SimParameters(n_action_steps=1))
        self.streams = Streams()
        self.simulation = Simulation(node, params, self.streams, STEP)

    def obey(self, value=1.0, late_ns=0):
        world = self.simulation.world
        self.simulation.obey(DueAction(np.full(7, value), world.now_ns - late_ns, world.decision_ns))


@pytest.fixture
def room(monkeypatch):
    room = Room()
    monkeypatch.setattr(module, "LiberoEnv", lambda suite, task, rendering: room)
    # Nothing is shown twice while a test looks on.
    monkeypatch.setattr(module, "REPEAT_PERIOD", 3600.0)
    return room


@pytest.fixture
def rig(room):
    rig = Rig(room)
    yield rig
    rig.simulation.end()


def test_each_due_command_is_one_step_and_the_clock_comes_last(rig, room):
    assert rig.simulation.begin(FIRST) == 1
    assert rig.streams.next(4) == MOMENT
    rig.obey(late_ns=STEP)
    rig.obey()
    assert rig.streams.next(4) == MOMENT and len(room.actions) == 1
    rig.obey()
    assert rig.streams.next(3) == ["status", "state", "clock"], "nobody decides on what is solved"
    rig.simulation.end()
    assert rig.said[-1] == "episode 1: solved after 2 control steps"
    assert room.is_closed and rig.simulation.world.state is EpisodeState.IDLE


def test_an_episode_that_does_not_exist_leaves_the_one_that_runs(rig):
    rig.simulation.begin(FIRST)
    with pytest.raises(AsyncVLAError, match="no such state"):
        rig.simulation.begin(Scenario("libero_object", 0, 10))
    assert rig.simulation.world.state is EpisodeState.RUNNING
    assert rig.simulation.begin(FIRST) == 2


def test_a_simulator_that_fails_says_so_and_begins_no_more(rig, room):
    rig.simulation.begin(FIRST)
    rig.streams.next(4)
    rig.obey(9.0)
    assert rig.streams.next(1) == ["ValueError: the world is broken"]
    rig.simulation.end()
    assert "the simulation ended:" in rig.said[-1] and room.is_closed
    with pytest.raises(RunError, match="deactivate and activate this node"):
        rig.simulation.begin(FIRST)
