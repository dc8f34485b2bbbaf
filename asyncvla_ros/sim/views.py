"""Views: single images of many scenes, each with where the target is and what the expert would do there.

A demonstration shows one placement of the objects a hundred times; to find them, a policy must have seen
them in thousands of places. A view costs a reset, or an arm put elsewhere, and one image of each camera.
Views are a dataset like any other, of episodes that are one frame long:

    scene 1   arm at rest   "open the top drawer"          where that is, the expert's answer
              hand near it  "put the bowl on the plate"    ...
    scene 2   ...
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np

from asyncvla_ros.sim.expert.demonstrator import Expert
from asyncvla_ros.sim.expert.motion import Phase
from asyncvla_ros.sim.libero.env import LiberoEnv
from asyncvla_ros.sim.libero.scene import Scene
from asyncvla_ros.sim.libero.tasks import list_tasks, scene_problem
from asyncvla_ros.types import Observation, RunError

log = logging.getLogger(__name__)
#: Share of the views with the hand near what the instruction is about, and how near [m].
_NEAR_SHARE, _NEAR_M, _ABOVE_M = 0.6, 0.04, (0.03, 0.2)
#: Elsewhere the hand is over the objects, or this far beside them, and so high above the lowest [m].
_BESIDE_M, _OVER_M = 0.05, (0.06, 0.35)
#: How the hand is turned: about the vertical, and out of it; standard deviations [rad].
_TURN_RAD, _TILT_RAD = 0.25, 0.08
#: Share of the views with an open hand, of which each finger is so far from the middle [m].
_OPEN_SHARE, _OPEN_M = 0.5, 0.04
_TRIES = 20

Goals = tuple[tuple[str, ...], ...]
#: What is asked for, and what must hold then.
Instruction = tuple[str, Goals]


def instructions(env: LiberoEnv) -> tuple[Instruction, ...]:
    """List what can be asked for in the scenes of a task, its own instruction first.

    Another task's is one of them if all that it is about is there, and there is but one of its kind: which of
    two bowls is meant, a task says by where it stands.
    """
    scene, own = env.scene, (env.instruction, env.scene.goals)
    things = {*scene.object_names(), *scene.furniture(), scene.workspace}
    counts = Counter(map(_kind, things))
    found = [own]
    for task in list_tasks(env.task.suite):
        goals = tuple(tuple(goal) for goal in scene_problem(task)["goal_state"])
        names = {scene.place_object(part) for goal in goals for part in goal[1:]}
        if task.index != env.task.index and all(n in things and counts[_kind(n)] == 1 for n in names):
            found.append((task.instruction, goals))
    return tuple(found)


def look_around(
    env: LiberoEnv, choices: tuple[Instruction, ...], count: int, rng: np.random.Generator
) -> Iterator[tuple[Observation, np.ndarray, np.ndarray]]:
    """Yield views of the present scene, the first with the arm where it is.

    Args:
        env: After a reset.
        choices: What can be asked for there, see ``instructions``.
        count: How many.
        rng: Source of all that is random.

    Yields:
        Observation, the expert's action (7,), and where target and place are, see ``Scene.privileged``.

    Raises:
        RunError: The arm comes nowhere near them.
    """
    scene, own = env.scene, env.scene.goals
    _, upright = scene.ee_pose()
    experts: dict[str, Expert] = {}
    try:
        for view in range(count):
            text, scene.goals = choices[rng.integers(len(choices))]
            if view:
                _move_hand(env, upright, rng)
            # To choose where to hold a thing takes long; one who already holds it does not fit another view.
            if text not in experts or experts[text].phase is not Phase.HOVER:
                experts[text] = Expert(scene)
            yield replace(env.observe(), instruction=text), experts[text].act(), scene.privileged()
    finally:
        scene.goals = own


def _move_hand(env: LiberoEnv, upright: np.ndarray, rng: np.random.Generator) -> None:
    for _ in range(_TRIES):
        c, s = np.cos(turn := rng.normal(0, _TURN_RAD)), np.sin(turn)
        tilt = cv2.Rodrigues(np.append(rng.normal(0, _TILT_RAD, 2), 0.0))[0]
        rotation = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ tilt @ upright
        opening = _OPEN_M if rng.random() < _OPEN_SHARE else rng.uniform(0, _OPEN_M)
        if env.put_hand(_place(env.scene, rng), rotation, opening):
            return
    raise RunError(
        f"the arm of {env.task.suite} task {env.task.index} reaches none of {_TRIES} random places"
    )


def _place(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """Draw a place where the hand may be, (3,) [m]."""
    if rng.random() < _NEAR_SHARE:
        at = scene.place_position(scene.goals[0][rng.choice([1, -1])])
        return at + np.append(rng.normal(0, _NEAR_M, 2), rng.uniform(*_ABOVE_M))
    at = np.array([scene.body_position(name) for name in (*scene.object_names(), *scene.furniture())])
    low, high = at.min(axis=0), at.max(axis=0)
    beside = rng.uniform(low[:2] - _BESIDE_M, high[:2] + _BESIDE_M)
    return np.append(beside, low[2] + rng.uniform(*_OVER_M))


def _kind(name: str) -> str:
    """Return the kind of an object: ``milk`` of ``milk_1``."""
    return name.rpartition("_")[0]
