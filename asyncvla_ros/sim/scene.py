"""Privileged view of a LIBERO scene: poses, boxes and goals, for the expert, resets and training targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

_PLACEMENT_TRIES = 200


@dataclass(frozen=True)
class Box:
    """Axis-aligned box in the world frame [m]; ``low`` and ``high`` are (3,)."""

    low: np.ndarray
    high: np.ndarray

    @property
    def centre(self) -> np.ndarray:
        return (self.low + self.high) / 2

    @property
    def size(self) -> np.ndarray:
        return self.high - self.low


class Scene:
    """Reads (and, for resets, moves) the bodies of a robosuite environment.

    Args:
        env: the robosuite environment, which must not be hard-reset.
    """

    def __init__(self, env: Any) -> None:
        self._env = env
        robot = env.robots[0]
        self._arm_qpos = list(robot._ref_joint_pos_indexes)
        self._arm_qvel = list(robot._ref_joint_vel_indexes)
        self._finger_qpos = list(robot._ref_gripper_joint_pos_indexes)
        self._finger_qvel = list(robot._ref_gripper_joint_vel_indexes)
        self._ee_site = robot.eef_site_id
        self._collision_geoms = {
            name: self._geoms_of(name) for name in (*env.objects_dict, *env.fixtures_dict)
        }
        problem = env.parsed_problem
        self.goal = tuple(problem["goal_state"][0])

    @property
    def target_object(self) -> str:
        """Name of the object to move: the first argument of the goal."""
        return str(self.goal[1])

    @property
    def goal_object(self) -> str:
        """Name of the object in or on which the target belongs."""
        place = str(self.goal[2])
        if place in self._env.object_sites_dict:
            return str(self._env.object_sites_dict[place].parent_name)
        return place

    def joint_positions(self) -> np.ndarray:
        """(9,): seven arm joints [rad], two fingers [m]."""
        return np.array(self._env.sim.data.qpos[self._arm_qpos + self._finger_qpos])

    def joint_velocities(self) -> np.ndarray:
        """(9,): seven arm joints [rad/s], two fingers [m/s]."""
        return np.array(self._env.sim.data.qvel[self._arm_qvel + self._finger_qvel])

    def ee_pose(self) -> tuple[np.ndarray, np.ndarray]:
        """Position (3,) [m] and rotation matrix (3, 3) of the point between the fingertips, in the world."""
        data = self._env.sim.data
        return np.array(data.site_xpos[self._ee_site]), np.array(data.site_xmat[self._ee_site]).reshape(3, 3)

    def object_names(self) -> tuple[str, ...]:
        """Movable objects."""
        return tuple(self._env.objects_dict)

    def body_position(self, name: str) -> np.ndarray:
        """(3,) position of an object's or fixture's root body in the world [m]."""
        return np.array(self._env.sim.data.body_xpos[self._env.obj_body_id[name]])

    def object_box(self, name: str) -> Box:
        """Box around the collision geometry of a movable object or fixture."""
        low, high = self._geom_boxes(self._collision_geoms[name])
        return Box(low.min(axis=0), high.max(axis=0))

    def obstacle_boxes(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper corners, (n, 3) each [m], of the colliding geoms of everything but ``name``."""
        others = [geoms for other, geoms in self._collision_geoms.items() if other != name]
        return self._geom_boxes(np.concatenate(others))

    def _geom_boxes(self, geoms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper corners, (n, 3) each [m], of axis-aligned boxes around geoms."""
        model, data = self._env.sim.model._model, self._env.sim.data._data
        rotations = data.geom_xmat[geoms].reshape(-1, 3, 3)
        centres = data.geom_xpos[geoms] + np.einsum("gij,gj->gi", rotations, model.geom_aabb[geoms, :3])
        halves = np.einsum("gij,gj->gi", np.abs(rotations), model.geom_aabb[geoms, 3:])
        return centres - halves, centres + halves

    def goal_position(self) -> np.ndarray:
        """(3,) where the target belongs [m]: the goal region's site, or the goal object's body."""
        place = str(self.goal[2])
        if place in self._env.object_sites_dict:
            return np.array(self._env.sim.data.get_site_xpos(place))
        return self.body_position(place)

    def privileged(self) -> np.ndarray:
        """(6,) float32: target minus end effector, goal minus end effector [m, world axes]."""
        ee, _ = self.ee_pose()
        return np.concatenate(
            [self.body_position(self.target_object) - ee, self.goal_position() - ee]
        ).astype(np.float32)

    def displace_objects(self, rng: np.random.Generator, reach_m: float) -> None:
        """Shift each object on the table or floor by up to ``reach_m`` in x and y, without overlaps.

        What stands on another object moves with it. A shift that cannot be placed is dropped.

        Args:
            rng: source of the shifts.
            reach_m: largest shift along each axis [m].
        """
        data = self._env.sim.data
        supports = {
            state[1]: state[2]
            for state in self._env.parsed_problem["initial_state"]
            if state[0] == "on" and state[2] in self._env.objects_dict
        }
        on_workspace = self._on_workspace()
        for name in on_workspace:
            riders = [rider for rider, support in supports.items() if support == name]
            others = [other for other in on_workspace if other != name]
            for _ in range(_PLACEMENT_TRIES):
                shift = rng.uniform(-reach_m, reach_m, size=2)
                if self._is_free(name, shift, others):
                    for moved in (name, *riders):
                        joint = self._env.objects_dict[moved].joints[-1]
                        qpos = np.array(data.get_joint_qpos(joint))
                        qpos[:2] += shift
                        data.set_joint_qpos(joint, qpos)
                    self._env.sim.forward()
                    break

    def _on_workspace(self) -> list[str]:
        """Movable objects that initially stand on the table or floor itself."""
        regions = self._env.parsed_problem["regions"]
        workspace = self._env.workspace_name
        return [
            state[1]
            for state in self._env.parsed_problem["initial_state"]
            if state[0] == "on"
            and state[1] in self._env.objects_dict
            and state[2] in regions
            and regions[state[2]]["target"] == workspace
        ]

    def _is_free(self, name: str, shift: np.ndarray, others: list[str]) -> bool:
        """Whether ``name``, shifted by ``shift`` (2,) [m], stays a finger's width from the others' boxes."""
        margin = 0.01
        box = self.object_box(name)
        low, high = box.low[:2] + shift - margin, box.high[:2] + shift + margin
        for other in others:
            other_box = self.object_box(other)
            if np.all(low < other_box.high[:2]) and np.all(high > other_box.low[:2]):
                return False
        return True

    def _geoms_of(self, name: str) -> np.ndarray:
        """Ids of the colliding geoms of an object, over all its bodies."""
        model = self._env.sim.model._model
        root = self._env.obj_body_id[name]
        bodies = {root}
        # Bodies are numbered depth first: a parent always comes before its children.
        for body in range(root + 1, model.nbody):
            if model.body_parentid[body] in bodies:
                bodies.add(body)
        collides = (model.geom_contype != 0) | (model.geom_conaffinity != 0)
        return np.flatnonzero(np.isin(model.geom_bodyid, sorted(bodies)) & collides)
