"""The scripted expert, which runs the first skill whose postcondition does not hold yet.

Its action is nearly a function of the simulator's state, so it stays right after noise or another policy has
moved the arm.
"""

from __future__ import annotations

import numpy as np

from asyncvla_ros.sim.expert.articulation import OpenDrawer, PushPlate, TurnKnob
from asyncvla_ros.sim.expert.motion import Phase, Skill
from asyncvla_ros.sim.expert.pick_place import PickAndPlace
from asyncvla_ros.sim.libero.scene import Scene
from asyncvla_ros.types import AsyncVLAError

_ELBOW = 3
#: Angle of the elbow at which the arm is straight [rad]; above it, up to -0.07, it is over-stretched.
_STRAIGHT_RAD = -0.47
#: Rotation that bends a straight arm [action units].
_UNLOCK = 0.5


class Expert:
    """Demonstrate the task of a scene; make a new expert for every episode.

    Args:
        scene: the simulator's privileged view, after the reset.
        style: which of how many ways to hold a bowl, see ``choose_grasp``; None: the best.

    Raises:
        AsyncVLAError: no skill reaches a goal of the task.
    """

    def __init__(self, scene: Scene, style: tuple[int, int] | None = None) -> None:
        self._scene = scene
        self._skills = [skill for goal in scene.goals for skill in skills_for(scene, goal, style)]

    @property
    def phase(self) -> Phase:
        """Phase of the current skill."""
        return self._current().phase

    def act(self, *, drives: bool = True) -> np.ndarray:
        """Return the action for the current state, (7,) float32 in [-1, 1]; ``drives``: it is executed."""
        action = self._current().act(drives=drives)
        if self._scene.joint_positions()[_ELBOW] > _STRAIGHT_RAD:
            # Every way back leads through the singularity, from which corrections push the arm away; tilting
            # the fingers towards the base moves the wrist outwards and lets the elbow bend.
            outwards = self._scene.away_from_base(self._scene.ee_pose()[0])
            action[:6] = 0.0
            action[3:5] = _UNLOCK * np.array([-outwards[1], outwards[0]])
        return action

    def _current(self) -> Skill:
        return next((skill for skill in self._skills if not skill.done()), self._skills[-1])


def skills_for(scene: Scene, goal: tuple[str, ...], style: tuple[int, int] | None = None) -> list[Skill]:
    """Return the skills, in order, that reach a goal, e.g. ``("on", "bowl", "plate")``."""
    kind, name, *place = goal
    if kind == "open":
        return [OpenDrawer(scene, name)]
    if kind == "turnon":
        return [TurnKnob(scene, goal)]
    if kind == "on" and name.startswith("plate"):
        return [PushPlate(scene, goal)]
    if kind == "in" and scene.is_drawer(place[0]):
        return [OpenDrawer(scene, place[0]), PickAndPlace(scene, goal, style)]
    if kind in ("on", "in"):
        return [PickAndPlace(scene, goal, style)]
    raise AsyncVLAError(f"the expert has no skill for the goal {goal}, expected one of: on, in, open, turnon")
