"""One episode of a policy in LIBERO, in lockstep or with answers that come late, in a world that may move.

At every inference the world is rendered, with the official meshes unless told otherwise, and the policy
answers a chunk; when the answer is there, see ``timing``, its actions are executed until the next is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from asyncvla_ros.common.noise_seed import noise_seed
from asyncvla_ros.control.action_schedule import ScheduledAction
from asyncvla_ros.sim.evaluation.approach import FirstApproach
from asyncvla_ros.sim.evaluation.inference import Inference
from asyncvla_ros.sim.evaluation.results import EpisodeResult, EvalSettings, Executed
from asyncvla_ros.sim.evaluation.timing import TimedPlan, Timing
from asyncvla_ros.sim.evaluation.video import side_by_side, write_video
from asyncvla_ros.sim.evaluation.worlds import make_world
from asyncvla_ros.sim.libero.env import ACTION_HZ, IDLE_ACTION, LiberoEnv
from asyncvla_ros.sim.libero.tasks import list_tasks, max_steps
from asyncvla_ros.types import Observation, Previous

if TYPE_CHECKING:
    from asyncvla_ros.policy import Policy


def run_episode(policy: Policy, env: LiberoEnv, settings: EvalSettings, init: int) -> EpisodeResult:
    """Let the policy act from the environment's current state until success or the suite's step limit.

    Raises:
        AsyncVLAError: If the policy's chunks are too short for the timing, or nothing moves in the world.
    """
    limit = max_steps(settings.suite)
    execute = policy.n_action_steps if settings.n_action_steps is None else settings.n_action_steps
    timing = Timing.of(settings.delay, settings.replan, execute, policy.chunk_size)
    plan, world = TimedPlan(timing), make_world(settings.world, env, settings.seed, init)
    eyes, record, approach = _Eyes(env, settings, init), _EpisodeRecord(), FirstApproach(env.scene)
    step, success = 0, env.success
    while step < limit and not success:
        world.advance(step)
        if plan.is_observed(step):
            inference = eyes.ask(policy, plan.previous(step), step, len(record.inferences))
            record.inferences.append(inference)
            chunk = inference.chunk
            # One control step each, whatever rate the data say: those of 10 Hz hold frames of 20 Hz.
            plan.answer(step, chunk, settings.conventions.env_actions(chunk.actions))
        env.step(world.obey(record.action(plan.due(step))))
        approach.note()
        step, success = step + 1, env.success
    eyes.write_video(timing, success=success)
    return replace(
        EpisodeResult.of(
            env.task.index,
            init,
            step,
            inferences=record.inferences,
            executed=record.executed,
            success=success,
        ),
        moved_step=world.moved_step,
        approached=approach.place,
    )


class _EpisodeRecord:
    """The inferences of an episode, and the actions that were executed."""

    def __init__(self) -> None:
        self.inferences: list[Inference] = []
        self.executed: list[Executed] = []

    def action(self, due: ScheduledAction | None) -> np.ndarray:
        """Note the action of a step; without one the arm holds still, and the gripper what it was told."""
        if due is None:
            gripper = self.executed[-1].values[-1] if self.executed else IDLE_ACTION[-1]
            return np.array([*IDLE_ACTION[:-1], gripper])
        self.executed.append(Executed(np.clip(due.values, -1, 1), due.chunk.chunk_id))
        return due.values


class _Eyes:
    """What the policy sees of an episode, and people in its video."""

    def __init__(self, env: LiberoEnv, settings: EvalSettings, init: int) -> None:
        self._env, self._settings, self._init = env, settings, init
        self._task = env.task.index
        self._instruction = env.instruction
        if settings.wrong_instruction:
            tasks = list_tasks(settings.suite)
            self._instruction = tasks[(self._task + 1) % len(tasks)].instruction
        self._frames: list[np.ndarray] = []

    def ask(self, policy: Policy, previous: Previous | None, step: int, number: int) -> Inference:
        """Ask the policy what to do about what it sees at a step."""
        settings = self._settings
        seen = self._env.observe(conventions=settings.conventions)
        self._keep_frame()
        images = seen.images
        if settings.blank_images:
            images = {key: np.zeros_like(image) for key, image in images.items()}
        seed = noise_seed(settings.seed, self._task, self._init, number)
        observation = Observation(images, seen.state, self._instruction, seen.stamp_ns)
        chunk = policy.infer(observation, settings.strategy, previous, seed=seed)
        return Inference(step, seed, self._instruction, chunk)

    def write_video(self, timing: Timing, *, success: bool) -> None:
        """Write what was seen at each inference, if it was asked for."""
        settings = self._settings
        if settings.video_dir is None or not self._frames:
            return
        self._keep_frame()
        outcome = "success" if success else "failure"
        name = f"{settings.suite}_task{self._task:02d}_init{self._init:02d}_{outcome}.mp4"
        write_video(settings.video_dir / name, self._frames, fps=ACTION_HZ / timing.replan)

    def _keep_frame(self) -> None:
        if self._settings.video_dir is not None:
            # For people, who want it upright, and for the codec, which wants even sizes.
            self._frames.append(side_by_side(self._env.observe()))
