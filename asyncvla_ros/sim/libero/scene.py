"""Privileged state of a LIBERO scene: poses, boxes and goals, for expert, resets and training targets."""

from __future__ import annotations

from typing import Any

import numpy as np

from asyncvla_ros.sim.libero.arrangement import Arrangement
from asyncvla_ros.sim.libero.boxes import Box, Obstacles, colliding_geoms, geom_boxes
from asyncvla_ros.sim.libero.tasks import initial_places

#: Height of the shoulder above the base, and of the wrist above the point between the fingertips of a gripper
#: that points down; offset of the wrist from that point towards the base [m].
_SHOULDER_M, _WRIST_ABOVE_M, _WRIST_BEHIND_M = 0.333, 0.21, 0.088
#: Range of distances from shoulder to wrist in which the arm moves freely [m]: it is straight, and stuck, at
#: 0.72; folded, the wrist must turn the hand back under the forearm.
COMFORTABLE_ARM_M = (0.30, 0.66)
#: Height of the floor of plates and bowls above their body [m].
_DISH_FLOOR_M = 0.005
#: Distance of a region's middle from its site, along its normal [m]; regions with a steeper normal are boxes.
_REGION_MIDDLE_M, _FACING_UP = 0.03, 0.3
#: Distance in x and y from a region's center, and height above it, up to which geometry supports objects [m].
_SUPPORT_REACH_M = 0.02
_SUPPORT_ABOVE_CENTER_M = 0.03


class Scene:
    """Read, and for resets move, the bodies of a robosuite environment.

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
        self._hand = robot.robot_model.eef_name
        self._collision_geoms = {
            name: colliding_geoms(env.sim.model._model, env.obj_body_id[name])
            for name in (*env.objects_dict, *env.fixtures_dict)
        }
        #: The table, or the floor.
        self.workspace = str(env.workspace_name)
        problem = env.parsed_problem
        #: Goals, of which all must hold, e.g. ``("on", "akita_black_bowl_1", "plate_1")``.
        self.goals = tuple(tuple(goal) for goal in problem["goal_state"])
        #: Region, object or fixture on or in which each object starts, by object.
        self.initial_places = initial_places(problem)

    def holds(self, goal: tuple[str, ...]) -> bool:
        """Return whether one of the task's goals holds now."""
        return bool(self._env._eval_predicate(goal))

    def place_object(self, place: str) -> str:
        """Return the object or fixture to which a region belongs; objects are regions themselves."""
        if place in self._env.object_sites_dict:
            return str(self._env.object_sites_dict[place].parent_name or self.workspace)
        return place

    def place_position(self, place: str) -> np.ndarray:
        """Return the position (3,) of a region's center, or of an object's body [m]."""
        if place in self._env.object_sites_dict:
            center = np.array(self._env.sim.data.get_site_xpos(place))
            normal = np.array(self._env.sim.data.get_site_xmat(place)).reshape(3, 3)[:, 2]
            if normal[2] > _FACING_UP:
                # A region extends along its normal, so the middle of a sloping one is not above its site.
                center[:2] += _REGION_MIDDLE_M * normal[:2]
            return center
        return self.body_position(place)

    def support_height(self, place: str) -> float:
        """Return the height at which an object stands in a region or on an object [m]."""
        center = self.place_position(place)
        if place not in self._env.object_sites_dict:
            return float(center[2]) + _DISH_FLOOR_M
        owner = self.place_object(place)
        if owner == self.workspace:
            return float(center[2])
        boxes = self._geom_boxes(self._collision_geoms[owner])
        low, high = boxes.low - _SUPPORT_REACH_M, boxes.high + _SUPPORT_REACH_M
        below = np.all((low < center)[:, :2] & (high > center)[:, :2], axis=1)
        below &= boxes.high[:, 2] < center[2] + _SUPPORT_ABOVE_CENTER_M
        return float(boxes.high[below, 2].max()) if below.any() else float(center[2])

    def is_container(self, goal: tuple[str, ...]) -> bool:
        """Return whether a goal is to put something into a movable object, e.g. a basket."""
        return goal[0] == "in" and self.place_object(goal[2]) in self._env.objects_dict

    def is_drawer(self, place: str) -> bool:
        """Return whether a place is a region inside a drawer."""
        return place in self._env.object_sites_dict and bool(self._env.object_sites_dict[place].joints)

    def joint_value(self, name: str) -> float:
        """Return the position of a drawer [m, negative outwards] or knob [rad], by region or fixture."""
        return float(self._env.sim.data._data.qpos[self._env.sim.model._model.jnt_qposadr[self._joint(name)]])

    def handle(self, drawer: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the center (3,) of a drawer's handle [m], and the unit vector (3,) of its opening."""
        out = -np.array(self._env.sim.data._data.xaxis[self._joint(drawer)])
        centers = self._moving_boxes(drawer).center
        return centers[np.argmax(centers @ out)], out

    def knob(self, fixture: str) -> np.ndarray:
        """Return the top (3,) of a knob, in the middle of its highest part [m]."""
        boxes = self._moving_boxes(fixture)
        highest = np.argmax(boxes.high[:, 2])
        return np.array([*boxes.center[highest, :2], boxes.high[highest, 2]])

    def _joint(self, name: str) -> int:
        """Return the id of the joint of a region or fixture."""
        sites = self._env.object_sites_dict
        owner = sites[name] if name in sites else self._env.get_object(name)
        return int(self._env.sim.model.joint_name2id(owner.joints[0]))

    def _moving_boxes(self, name: str) -> Obstacles:
        """Return the boxes around the colliding geoms that a joint moves."""
        model = self._env.sim.model._model
        collides = (model.geom_contype != 0) | (model.geom_conaffinity != 0)
        return self._geom_boxes(
            np.flatnonzero((model.geom_bodyid == model.jnt_bodyid[self._joint(name)]) & collides)
        )

    def joint_positions(self) -> np.ndarray:
        """Return positions (9,) of seven arm joints [rad] and two fingers [m]."""
        return np.array(self._env.sim.data.qpos[self._arm_qpos + self._finger_qpos])

    def joint_velocities(self) -> np.ndarray:
        """Return velocities (9,) of seven arm joints [rad/s] and two fingers [m/s]."""
        return np.array(self._env.sim.data.qvel[self._arm_qvel + self._finger_qvel])

    def ee_pose(self) -> tuple[np.ndarray, np.ndarray]:
        """Return position (3,) [m] and rotation (3, 3) of the point between the fingertips, in the world."""
        data = self._env.sim.data
        return np.array(data.site_xpos[self._ee_site]), np.array(data.site_xmat[self._ee_site]).reshape(3, 3)

    def hand_quat_xyzw(self) -> np.ndarray:
        """Return the orientation (4,) x y z w of the hand in the world; its sign is continuous in the motion.

        The hand's body is turned by 90 degrees against the frame of ``ee_pose``.
        """
        return np.roll(self._env.sim.data.get_body_xquat(self._hand), -1)

    def base_position(self) -> np.ndarray:
        """Return the position (3,) of the robot's base in the world [m]; it is not rotated."""
        return np.array(self._env.robots[0].base_pos)

    def reach(self, point: np.ndarray) -> float:
        """Return the horizontal distance of ``point`` (2,) or (3,) from the robot's base [m]."""
        return float(np.linalg.norm(point[:2] - self.base_position()[:2]))

    def arm_length(self, point: np.ndarray) -> float:
        """Return the distance from shoulder to wrist for a gripper that points down at ``point`` (3,) [m]."""
        radius = self.reach(point) - _WRIST_BEHIND_M
        height = point[2] + _WRIST_ABOVE_M - self.base_position()[2] - _SHOULDER_M
        return float(np.hypot(radius, height))

    def away_from_base(self, point: np.ndarray) -> np.ndarray:
        """Return the unit vector (2,) from the robot's base towards a point, in x and y."""
        way = point[:2] - self.base_position()[:2]
        return np.asarray(way / np.linalg.norm(way))

    def object_names(self) -> tuple[str, ...]:
        """Return the names of movable objects."""
        return tuple(self._env.objects_dict)

    def body_position(self, name: str) -> np.ndarray:
        """Return the position (3,) of an object's or fixture's root body in the world [m]."""
        return np.array(self._env.sim.data.body_xpos[self._env.obj_body_id[name]])

    def body_rotation(self, name: str) -> np.ndarray:
        """Return the rotation (3, 3) of an object's or fixture's root body in the world."""
        return np.array(self._env.sim.data.body_xmat[self._env.obj_body_id[name]]).reshape(3, 3)

    def object_box(self, name: str) -> Box:
        """Return the box around the collision geometry of a movable object or fixture."""
        boxes = self._geom_boxes(self._collision_geoms[name])
        return Box(boxes.low.min(axis=0), boxes.high.max(axis=0))

    def lowest_object(self) -> float:
        """Return the height of the lowest body of all movable objects [m]."""
        return float(min(self.body_position(name)[2] for name in self.object_names()))

    def obstacles(self, name: str) -> Obstacles:
        """Return the boxes around all colliding geoms except those of the robot and of ``name``."""
        others = [geoms for other, geoms in self._collision_geoms.items() if other != name]
        return self._geom_boxes(np.concatenate(others))

    def _geom_boxes(self, geoms: np.ndarray) -> Obstacles:
        return geom_boxes(self._env.sim.model._model, self._env.sim.data._data, geoms)

    def privileged(self) -> np.ndarray:
        """Return (6,) float32: target minus end effector, goal place minus end effector [m, world axes].

        The first goal that does not hold counts; target and place are the same for goals such as ``open``.
        """
        ee, _ = self.ee_pose()
        goal = next((goal for goal in self.goals if not self.holds(goal)), self.goals[-1])
        target, place = self.place_position(goal[1]), self.place_position(goal[-1])
        return np.concatenate([target - ee, place - ee]).astype(np.float32)

    def on_workspace(self) -> list[str]:
        """Return the movable objects that initially stand on the table or floor itself."""
        regions = self._env.parsed_problem["regions"]
        workspace = self.workspace
        return [
            name
            for name, place in self.initial_places.items()
            if name in self._env.objects_dict and place in regions and regions[place]["target"] == workspace
        ]

    def riders(self, name: str) -> list[str]:
        """Return the movable objects that initially are on or in another object or furniture."""
        return [
            rider
            for rider, place in self.initial_places.items()
            if rider in self._env.objects_dict and self.place_object(place) == name
        ]

    def landmarks(self, name: str) -> list[str]:
        """Return the objects next to which, or between which, an object initially is, by its region."""
        places, table = self.initial_places, self.workspace
        place = places[name].removeprefix(f"{table}_")
        words = next((place.removeprefix(w) for w in ("next_to_", "between_") if place.startswith(w)), "")
        regions = {f"{table}_{word}_region" for word in words.split("_")}
        return [other for other, at in places.items() if at in regions]

    def is_placed_by_table(self, name: str) -> bool:
        """Return whether an object starts at a place of the table that an instruction can name."""
        place = self.initial_places[name].removeprefix(f"{self.workspace}_")
        return place.startswith("table_")

    def furniture(self) -> list[str]:
        """Return the fixtures on the table."""
        return [name for name in self._env.fixtures_dict if name != self.workspace]

    def region_center(self, name: str) -> np.ndarray | None:
        """Return the middle (2,) of the table's region in which an object starts [m]; None without one."""
        place = self.initial_places.get(name, "")
        region = self._env.parsed_problem["regions"].get(place)
        if region is None or region["target"] != self.workspace:
            return None
        x0, y0, x1, y1 = region["ranges"][0]
        offset = np.asarray(self._env.workspace_offset, float)[:2]
        return np.array([x0 + x1, y0 + y1]) / 2 + offset

    def usual_place(self, name: str) -> np.ndarray | None:
        """Return the place (2,) of an object in LIBERO, or of its support [m]; None if not on the table."""
        center = self.region_center(name)
        place = self.initial_places.get(name, "")
        return self.usual_place(place) if center is None and place in self._env.objects_dict else center

    def shift_object(self, name: str, shift: np.ndarray) -> None:
        """Move a movable object by ``shift`` (2,) in x and y [m]; call ``forward`` afterwards."""
        joint = self._env.objects_dict[name].joints[-1]
        qpos = np.array(self._env.sim.data.get_joint_qpos(joint))
        qpos[:2] += shift
        self._env.sim.data.set_joint_qpos(joint, qpos)

    def shift_furniture(self, name: str, shift: np.ndarray) -> None:
        """Move a fixture with all on or in it by ``shift`` (2,) [m], until the next reset."""
        self._env.sim.model.body_pos[self._env.obj_body_id[name], :2] += shift
        for rider in self.riders(name):
            self.shift_object(rider, shift)

    def forward(self) -> None:
        """Recompute all poses after objects were moved."""
        self._env.sim.forward()

    def arrangement(self) -> Arrangement:
        """Return where everything is now, to be restored until the next reset."""
        return Arrangement(self._env.sim)
