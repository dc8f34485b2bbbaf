"""Views: one picture each of many scenes, with what can be asked for there and what the expert would do.

A demonstration shows one placement of the objects a hundred times; to find them, a policy must have seen
them in thousands of places. A view costs one image of each camera: once a scene has come to rest, its objects
are arranged anew for each, and the arm is put elsewhere. Several instructions are asked of each picture, so
that no picture tells by itself what is meant. Views are a dataset like any other, in which each frame of an
episode has the same picture and another instruction:

    scene 1   objects here    arm at rest     "open the top drawer"         where that is, the expert's answer
                                              "put the bowl on the plate"   ...
              and elsewhere   hand near one   "turn on the stove"           ...
    scene 2   ...
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from asyncvla_ros.sim.expert.demonstrator import Expert
from asyncvla_ros.sim.libero.env import LiberoEnv
from asyncvla_ros.sim.libero.placement import arrange
from asyncvla_ros.sim.libero.scene import Scene
from asyncvla_ros.sim.libero.tasks import initial_places, list_tasks, scene_problem
from asyncvla_ros.types import Observation, RunError

log = logging.getLogger(__name__)
#: Share of the views with the arm where an episode begins.
_REST_SHARE = 0.2
#: Share of the others with the hand near what the instruction is about, and how near [m].
_NEAR_SHARE, _NEAR_M, _ABOVE_M = 0.6, 0.04, (0.03, 0.2)
#: Elsewhere the hand is over the objects, or this far beside them, and so high above the lowest [m].
_BESIDE_M, _OVER_M = 0.05, (0.06, 0.35)
#: How the hand is turned: about the vertical, and out of it; standard deviations [rad].
_TURN_RAD, _TILT_RAD = 0.25, 0.08
#: Share of the views with an open hand, of which each finger is so far from the middle [m].
_OPEN_SHARE, _OPEN_M = 0.5, 0.04
_TRIES = 20
#: Most instructions that are asked of a picture.
_ASKED = 4

#: Kinds of placements, each with its share.
Placements = tuple[tuple[str, float], ...]
Goals = tuple[tuple[str, ...], ...]
#: What is asked for, and what must hold then.
Instruction = tuple[str, Goals]


@dataclass(frozen=True)
class Answer:
    """What is right in a view for one of its instructions.

    Attributes:
        observation: The view, with the instruction.
        action: (7,) the expert's.
        privileged: Where target and place are, see ``Scene.privileged``.
    """

    observation: Observation
    action: np.ndarray
    privileged: np.ndarray


def instructions(env: LiberoEnv) -> tuple[Instruction, ...]:
    """List what can be asked for in the scenes of a task, its own instruction first.

    Another task's is one of them if all that it is about is there. Which of two bowls is meant, a task says
    by where it stands: it is the one that starts at the same place in that task.
    """
    scene, found = env.scene, [(env.instruction, env.scene.goals)]
    things = {*scene.object_names(), *scene.furniture(), scene.workspace}
    for task in list_tasks(env.task.suite):
        if task.index == env.task.index:
            continue
        problem = scene_problem(task)
        objects = (name for names in problem["objects"].values() for name in names)
        here = {name: _counterpart(name, problem, scene) for name in objects}
        goals = tuple(tuple(here.get(part, part) for part in goal) for goal in problem["goal_state"])
        if all(scene.place_object(part) in things for goal in goals for part in goal[1:]):
            found.append((task.instruction, goals))
    return tuple(found)


def look_around(
    env: LiberoEnv,
    choices: tuple[Instruction, ...],
    placements: Placements,
    count: int,
    rng: np.random.Generator,
) -> Iterator[tuple[Answer, ...]]:
    """Yield views of a scene, each with its objects somewhere else.

    Args:
        env: After a reset to an official placement.
        choices: What can be asked for there, see ``instructions``.
        placements: Share of each kind of placement.
        count: How many.
        rng: Source of all that is random.

    Yields:
        What is right for some of the choices, drawn at random.

    Raises:
        RunError: There is never room for the objects, or the arm comes nowhere near them.
    """
    scene, own, settled = env.scene, env.scene.goals, env.scene.arrangement()
    kinds, shares = zip(*placements, strict=True)
    _, upright = scene.ee_pose()
    try:
        for _ in range(count):
            asked = [choices[number] for number in rng.permutation(len(choices))[:_ASKED]]
            # The objects of the first are within reach.
            scene.goals = asked[0][1]
            for _ in range(_TRIES):
                # What rested on the table does so elsewhere: it needs no time to settle.
                settled.restore()
                if _rearrange(scene, kinds[rng.choice(len(kinds), p=shares)], rng) and (
                    rng.random() < _REST_SHARE or _move_hand(env, upright, rng)
                ):
                    break
            else:
                raise RunError(f"no view of {env.task.suite} task {env.task.index} in {_TRIES} tries")
            yield _answers(env, asked)
    finally:
        scene.goals = own


def _answers(env: LiberoEnv, asked: list[Instruction]) -> tuple[Answer, ...]:
    scene, seen, found = env.scene, env.observe(), []
    for text, goals in asked:
        scene.goals = goals
        action, privileged = Expert(scene).act(), scene.privileged()
        found.append(Answer(replace(seen, instruction=text), action, privileged))
    return tuple(found)


def _counterpart(name: str, problem: dict[str, Any], scene: Scene) -> str:
    """Return what an object of another task's scene is in this one; "" if there is none."""
    alike = [own for own in scene.object_names() if _kind(own) == _kind(name)]
    if len(alike) > 1:
        place = initial_places(problem).get(name)
        alike = [own for own in alike if scene.initial_places[own] == place]
    return alike[0] if len(alike) == 1 else ""


def _rearrange(scene: Scene, placement: str, rng: np.random.Generator) -> bool:
    """Arrange the objects anew; return False if there was no room."""
    try:
        arrange(scene, placement, rng)
    except RunError as error:
        log.info("objects are placed again: %s", error)
        return False
    return True


def _move_hand(env: LiberoEnv, upright: np.ndarray, rng: np.random.Generator) -> bool:
    """Put the hand somewhere near the objects; return False if the arm reaches none of many places."""
    for _ in range(_TRIES):
        c, s = np.cos(turn := rng.normal(0, _TURN_RAD)), np.sin(turn)
        tilt = cv2.Rodrigues(np.append(rng.normal(0, _TILT_RAD, 2), 0.0))[0]
        rotation = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ tilt @ upright
        opening = _OPEN_M if rng.random() < _OPEN_SHARE else rng.uniform(0, _OPEN_M)
        if env.put_hand(_place(env.scene, rng), rotation, opening):
            return True
    return False


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
