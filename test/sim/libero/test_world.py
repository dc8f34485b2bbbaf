from __future__ import annotations

import numpy as np
import pytest

from asyncvla_ros.sim.libero.world import DueAction, EpisodeState, Scenario, World
from asyncvla_ros.types import AsyncVLAError, Observation, RunError

STEP = 50_000_000


class FakeEnv:
    """Solved after ``goal`` steps; remembers what it was told."""

    instruction = "wait"

    def __init__(self, goal: int = 1000) -> None:
        self.goal, self.actions, self.closed = goal, [], False
        self.started: object = None

    @property
    def success(self) -> bool:
        return len(self.actions) >= self.goal

    def reset(self, seed: int) -> None:
        self.started, self.actions = ("random", seed), []

    def require_init(self, index: int) -> None:
        if index > 9:
            raise AsyncVLAError("no such state")

    def reset_to_init(self, index: int) -> None:
        self.started, self.actions = ("official", index), []

    def step(self, action: np.ndarray) -> None:
        self.actions.append(action.tolist())

    def observe(self, stamp_ns: int = 0) -> Observation:
        return Observation({}, np.zeros(1, np.float32), self.instruction, stamp_ns)

    def close(self) -> None:
        self.closed = True


def make_world(env: FakeEnv, n_action_steps: int = 2, limit: int = 10) -> World:
    return World(lambda suite, task: env, lambda suite: limit, STEP, n_action_steps, np.array([0.0, -1.0]))


def command(world: World, value: float = 1.0, late: int = 0) -> DueAction:
    return DueAction(np.array([value, 1.0]), world.now_ns - late, world.decision_ns)


def test_lockstep_moves_once_per_due_command_and_observes_every_second():
    env = FakeEnv()
    world = make_world(env)
    world.start(Scenario("s", 0, 3))
    assert env.started == ("official", 3) and world.awaits_decision
    first = command(world)
    assert world.obey(first) and not world.awaits_decision
    assert not world.obey(first), "the same command moves the world only once"
    assert world.obey(command(world)) and world.awaits_decision
    assert world.steps == 2 and world.decision_ns == world.now_ns


def test_lockstep_ignores_what_does_not_answer_the_latest_observation():
    world = make_world(FakeEnv())
    world.start(Scenario("s", 0, 0))
    stale = command(world)
    world.start(Scenario("s", 0, 1))
    assert not world.obey(stale) and not world.obey(command(world, late=STEP)) and world.steps == 0


def test_an_episode_ends_with_success_or_out_of_steps():
    for goal, end in ((3, EpisodeState.SUCCESS), (1000, EpisodeState.TIMEOUT)):
        world = make_world(FakeEnv(goal), limit=5)
        world.start(Scenario("s", 0, 0))
        while world.state is EpisodeState.RUNNING:
            assert world.obey(command(world))
        assert world.state is end and world.steps == min(goal, 5)
        assert not world.obey(command(world))


def test_time_never_goes_back_and_leaves_old_chunks_behind():
    world = make_world(FakeEnv())
    world.start(Scenario("s", 0, 0))
    world.obey(command(world))
    before = world.now_ns
    world.start(Scenario("s", 0, 1))
    assert world.now_ns - before >= 20 * STEP and world.now_ns % STEP == 0
    assert world.episode_id == 2 and world.steps == 0


def test_free_running_holds_still_without_a_command_and_keeps_the_gripper():
    env = FakeEnv()
    world = make_world(env)
    world.start(Scenario("s", 0, None, seed=7))
    assert env.started == ("random", 7)
    world.tick(None)
    world.tick(command(world, 0.5))
    world.tick(None)
    assert env.actions == [[0.0, -1.0], [0.5, 1.0], [0.0, 1.0]]
    assert world.held_steps == 2


def test_a_refused_reset_leaves_the_simulator_usable():
    world = make_world(FakeEnv())
    world.start(Scenario("s", 0, 0))
    with pytest.raises(AsyncVLAError):
        world.start(Scenario("s", 0, 99))
    world.start(Scenario("s", 0, 1))
    assert world.state is EpisodeState.RUNNING


def test_a_refused_reset_of_another_task_leaves_the_episode_running():
    made: list[FakeEnv] = []

    def make(suite: str, task: int) -> FakeEnv:
        made.append(FakeEnv())
        return made[-1]

    world, ends = World(make, lambda suite: 5, STEP, 1, np.zeros(2)), list[int]()
    world.start(Scenario("s", 0, 0))
    with pytest.raises(AsyncVLAError, match="no such state"):
        world.start(Scenario("s", 1, 99), lambda: ends.append(world.episode_id))
    assert not ends
    assert made[1].closed and not made[0].closed
    assert world.state is EpisodeState.RUNNING and world.obey(command(world)) and made[0].actions
    world.start(Scenario("s", 1, 9), lambda: ends.append(world.episode_id))
    assert ends == [1] and world.episode_id == 2 and made[0].closed


def test_no_episode_runs_after_a_reset_that_failed():
    class Spilled(FakeEnv):
        def reset(self, seed: int) -> None:
            raise RunError("objects fell off the table")

    env, ends = Spilled(), list[int]()
    world = make_world(env)
    world.start(Scenario("s", 0, 0))
    with pytest.raises(RunError, match="fell off"):
        world.start(Scenario("s", 0, None, seed=1), lambda: ends.append(world.episode_id))
    assert ends == [1] and world.state is EpisodeState.IDLE
    assert not world.obey(command(world)) and not env.actions
    world.start(Scenario("s", 0, 1))
    assert world.state is EpisodeState.RUNNING and world.episode_id == 2


def test_another_task_gets_another_simulator():
    made: list[FakeEnv] = []

    def make(suite: str, task: int) -> FakeEnv:
        made.append(FakeEnv())
        return made[-1]

    world = World(make, lambda suite: 5, STEP, 1, np.zeros(2))
    world.start(Scenario("s", 0, 0))
    world.start(Scenario("s", 0, 1))
    world.start(Scenario("s", 1, 0))
    assert len(made) == 2 and made[0].closed
    world.close()
    assert made[1].closed and world.state is EpisodeState.IDLE
    with pytest.raises(AsyncVLAError, match="reset one first"):
        world.observe()
