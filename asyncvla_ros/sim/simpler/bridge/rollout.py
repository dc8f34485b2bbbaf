"""Evaluate a policy or the scripted motion on Bridge tasks; the world waits for each inference."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from asyncvla_ros.control.plan_memory import PlanMemory
from asyncvla_ros.sim.evaluation.inference import Inference
from asyncvla_ros.sim.evaluation.video import write_video
from asyncvla_ros.sim.simpler.bridge.conventions import (
    ACTION_HZ,
    bridge_state,
    require_bridge_policy,
    simulator_command,
)
from asyncvla_ros.sim.simpler.bridge.expert import BridgeExpert, require_expert
from asyncvla_ros.sim.simpler.bridge.process import BridgeSim
from asyncvla_ros.sim.simpler.bridge.results import BridgeEpisode, BridgeSettings, summarize
from asyncvla_ros.sim.simpler.bridge.tasks import BridgeTask, get_task
from asyncvla_ros.types import AsyncVLAError, Observation

if TYPE_CHECKING:
    from asyncvla_ros.policy import Policy
    from asyncvla_ros.sim.simpler.bridge.world import BridgeState


#: Returns the next actions (k, 7) for the frame of a control step, and how they were inferred.
Act = Callable[["BridgeState", int], tuple[np.ndarray, Inference | None]]
#: Begins an episode from the task, its placement and the first frame.
Actor = Callable[[BridgeTask, int, "BridgeState"], Act]


def expert_actor(settings: BridgeSettings) -> Actor:
    """Return the scripted motion as an actor.

    Raises:
        AsyncVLAError: A task has no motion.
    """
    for name in settings.tasks:
        require_expert(get_task(name))

    def begin(task: BridgeTask, init: int, first: BridgeState) -> Act:
        expert = BridgeExpert(task, first)
        return lambda frame, step: (expert.act(frame)[None], None)

    return begin


class PolicyActor:
    """A policy as an actor, with observations as in BridgeData.

    Args:
        policy: Policy with one camera and Bridge's state and action.
        settings: Strategy, seed and number of executed actions.

    Raises:
        ContractError: The policy is for another robot, or cannot run the strategy.
        AsyncVLAError: The number of executed actions does not fit the chunk.
    """

    def __init__(self, policy: Policy, settings: BridgeSettings) -> None:
        require_bridge_policy(policy.features)
        policy.check(settings.strategy)
        self._execute = policy.n_action_steps if settings.n_action_steps is None else settings.n_action_steps
        if not 1 <= self._execute <= policy.chunk_size:
            raise AsyncVLAError(
                f"n_action_steps is {self._execute}, expected 1 to {policy.chunk_size}, the actions of a "
                "chunk"
            )
        self._policy, self._settings = policy, settings
        self._camera = policy.features.cameras[0].key

    def __call__(self, task: BridgeTask, init: int, first: BridgeState) -> Act:
        """Begin an episode, with noise that does not depend on other episodes."""
        seeds = np.random.SeedSequence((self._settings.seed, *task.name.encode(), init))
        plans = PlanMemory()

        def act(frame: BridgeState, step: int) -> tuple[np.ndarray, Inference]:
            state = bridge_state(frame.pose_ee_in_base, frame.fingers_m)
            observation = Observation({self._camera: frame.image}, state, task.instruction)
            seed = int(seeds.spawn(1)[0].generate_state(1)[0])
            chunk = self._policy.infer(observation, self._settings.strategy, plans.previous(step), seed)
            plans.note(step, step, chunk.actions, chunk.draft)
            return chunk.actions[: self._execute], Inference(step, seed, task.instruction, chunk)

        return act


def evaluate(
    settings: BridgeSettings,
    actor: Actor,
    on_episode: Callable[[BridgeEpisode], None] = lambda episode: None,
    done: tuple[BridgeEpisode, ...] = (),
) -> dict[str, Any]:
    """Run all episodes of the shard and summarize them.

    Args:
        settings: Settings of the evaluation.
        actor: The actor.
        on_episode: Called after each new episode.
        done: Finished episodes, which are not run again.

    Returns:
        JSON-ready: n, success_last and success_ever {successes, rate, ci95}, per_task, episodes,
        inference_ms, versions, machine, settings.

    Raises:
        AsyncVLAError: A task or placement is unknown, files of a task are missing, or there are more shards
        than episodes.
        RunError: The simulator failed.
    """
    require_placements(settings)
    finished = {(episode.task, episode.init): episode for episode in done}
    for name in settings.tasks:
        left = [init for task, init in settings.episodes if task == name and (task, init) not in finished]
        for episode in _run_task(settings, get_task(name), left, actor):
            on_episode(episode)
            finished[name, episode.init] = episode
    return summarize([finished[episode] for episode in settings.episodes], settings)


def require_placements(settings: BridgeSettings) -> None:
    """Raise AsyncVLAError unless all tasks exist and have the placements."""
    if not settings.tasks or not settings.inits:
        raise AsyncVLAError("expected at least one task and one placement")
    for task in map(get_task, settings.tasks):
        if not all(0 <= init < task.placements for init in settings.inits):
            raise AsyncVLAError(
                f"Bridge task {task.name!r} has placements 0 to {task.placements - 1}, "
                f"got {list(settings.inits)}"
            )


def _run_task(
    settings: BridgeSettings, task: BridgeTask, inits: list[int], actor: Actor
) -> Iterator[BridgeEpisode]:
    if not inits:
        return
    with BridgeSim(task) as sim:
        for init in inits:
            yield run_episode(sim, actor, settings, init)


def run_episode(sim: BridgeSim, actor: Actor, settings: BridgeSettings, init: int) -> BridgeEpisode:
    """Run an actor from a placement to the task's limit of steps, also beyond success."""
    task = sim.task
    frame = sim.reset(init, settings.seed)
    act = actor(task, init, frame)
    images, solved, inferences = [frame.image], list[bool](), list[Inference]()
    while len(solved) < task.max_steps:
        actions, inference = act(frame, len(solved))
        if inference is not None:
            inferences.append(inference)
        for action in actions[: task.max_steps - len(solved)]:
            frame = sim.step(simulator_command(action))
            solved.append(frame.success)
            if settings.video_dir is not None:
                images.append(frame.image)
    if settings.video_dir is not None:
        name = f"bridge_{task.name}_{init:02d}_{'success' if solved[-1] else 'failure'}.mp4"
        write_video(settings.video_dir / name, images, fps=ACTION_HZ)
    return BridgeEpisode.of(task.name, init, settings.seed, solved, inferences=inferences)
