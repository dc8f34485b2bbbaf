"""The object a LIBERO task is about, as something that moves by itself while the robot reaches for it."""

from __future__ import annotations

import numpy as np

from asyncvla_ros.sim.libero.placement import is_free
from asyncvla_ros.sim.libero.scene import COMFORTABLE_ARM_M, Scene
from asyncvla_ros.sim.libero.tasks import Task, scene_problem


def movable_target(task: Task) -> tuple[str, ...]:
    """Return objects that move with the one of a task's first goal; the one that stands on the table comes first.

    A bowl on a box moves with the box, and what is on a plate with the plate. Drawers, knobs, and what is on
    or in furniture do not move: empty.
    """
    problem = scene_problem(task)
    objects = {name for names in problem["objects"].values() for name in names}
    places = {state[1]: state[2] for state in problem["initial_state"] if state[0] in ("on", "in")}
    name = problem["goal_state"][0][1]
    while places.get(name) in objects:
        name = places[name]
    # Regions of the table have extents, those of furniture have none.
    region = problem["regions"].get(places.get(name))
    if name not in objects or not region or not region["ranges"]:
        return ()
    return (name, *(rider for rider, place in places.items() if rider in objects and place == name))


class Target:
    """What the task is about, and what moves with it.

    Args:
        scene: After the reset.
        names: Of ``movable_target``, not empty.
    """

    def __init__(self, scene: Scene, names: tuple[str, ...]) -> None:
        self._scene, self._names = scene, names
        self._name = scene.goals[0][1]

    def hand_distance(self) -> float:
        """From the point between the fingertips to the box around the target [m]; 0 inside of it."""
        box, hand = self._scene.object_box(self._name), self._scene.ee_pose()[0]
        return float(np.linalg.norm(hand - np.clip(hand, box.low, box.high)))

    def can_move(self, shift: np.ndarray) -> bool:
        """Return whether there is room, within the arm's reach, after a (2,) shift in x and y [m]."""
        scene = self._scene
        reach = max(COMFORTABLE_ARM_M[1], self._arm_length(np.zeros(2)))
        if self._arm_length(shift) > reach:
            return False
        others = [name for name in (*scene.object_names(), *scene.furniture()) if name not in self._names]
        return is_free(scene, self._names, shift, others)

    def move(self, shift: np.ndarray) -> None:
        """Shift it by (2,) in x and y [m]."""
        for name in self._names:
            self._scene.shift_object(name, shift)
        self._scene.forward()

    def _arm_length(self, shift: np.ndarray) -> float:
        return self._scene.arm_length(self._scene.body_position(self._name) + np.append(shift, 0.0))
