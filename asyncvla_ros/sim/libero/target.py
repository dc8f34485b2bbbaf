"""The target object of a LIBERO task, which can move while the robot reaches for it."""

from __future__ import annotations

import numpy as np

from asyncvla_ros.sim.libero.placement import is_free
from asyncvla_ros.sim.libero.scene import COMFORTABLE_ARM_M, Scene
from asyncvla_ros.sim.libero.tasks import Task, initial_places, scene_problem


def movable_target(task: Task) -> tuple[str, ...]:
    """Return the objects that move with the object of a task's first goal; the one on the table comes first.

    A bowl on a box moves with the box, and objects on a plate with the plate. Drawers, knobs, and objects on
    or in furniture do not move: empty.
    """
    problem = scene_problem(task)
    objects = {name for names in problem["objects"].values() for name in names}
    places = initial_places(problem)
    name = problem["goal_state"][0][1]
    while places.get(name) in objects:
        name = places[name]
    # Regions of the table have extents, those of furniture have none.
    region = problem["regions"].get(places.get(name))
    if name not in objects or not region or not region["ranges"]:
        return ()
    return (name, *(rider for rider, place in places.items() if rider in objects and place == name))


class Target:
    """The target object and the objects that move with it.

    Args:
        scene: The scene after the reset.
        names: Names from ``movable_target``, not empty.
    """

    def __init__(self, scene: Scene, names: tuple[str, ...]) -> None:
        self._scene, self._names = scene, names
        self._name = scene.goals[0][1]

    def hand_distance(self) -> float:
        """Return the distance from the fingertips' middle to the box around the target [m]; 0 inside."""
        box, hand = self._scene.object_box(self._name), self._scene.ee_pose()[0]
        return float(np.linalg.norm(hand - np.clip(hand, box.low, box.high)))

    def can_move(self, shift: np.ndarray) -> bool:
        """Return whether a shift (2,) in x and y [m] leads to free room within the arm's reach."""
        scene = self._scene
        reach = max(COMFORTABLE_ARM_M[1], self._arm_length(np.zeros(2)))
        if self._arm_length(shift) > reach:
            return False
        others = [name for name in (*scene.object_names(), *scene.furniture()) if name not in self._names]
        return is_free(scene, self._names, shift, others)

    def move(self, shift: np.ndarray) -> None:
        """Shift the target by (2,) in x and y [m]."""
        for name in self._names:
            self._scene.shift_object(name, shift)
        self._scene.forward()

    def _arm_length(self, shift: np.ndarray) -> float:
        return self._scene.arm_length(self._scene.body_position(self._name) + np.append(shift, 0.0))
