"""Choice of a grasp in which fingers and palm clear the surroundings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import cycle, islice, product

import numpy as np
from scipy.spatial.transform import Rotation

from asyncvla_ros.sim.expert.gripper_room import clearance, free_height, tilt_rotation
from asyncvla_ros.sim.expert.motion import DOWN
from asyncvla_ros.sim.libero.boxes import Box
from asyncvla_ros.sim.libero.scene import COMFORTABLE_ARM_M, Scene

_WIDEST_GRASP_M = 0.072
_FINGER_OPENING_M = 0.08
_FINGER_HALF_WIDTH_M = 0.011
#: Greatest misalignment across the fingers [m].
_ACROSS_TOLERANCE_M = 0.012
#: Distance to neighbors above which more makes no difference [m].
_MARGIN_M = 0.008
_YAWS_DEG = (0.0, 15.0, -15.0, 30.0, -30.0, 90.0)
_HARMLESS_FALL_M = 0.06
#: Rim of LIBERO's black bowl relative to its body [m].
_RIM_RADIUS_M, _RIM_HEIGHT_M = 0.0495, 0.040
_RIM_TOLERANCE_M = np.array([0.015, 0.012])
#: Small enough that grasps change smoothly with their surroundings, which a policy learns better than jumps.
_RIM_STEP_DEG = 10.0
#: Turns away from the radius at which fingers still hold the rim, to avoid something tall [rad].
_RIM_SKEWS_RAD = (0.0, 0.45, -0.45)
#: Tilts of a hand that holds a rim, to reach under something above the object [rad].
_RIM_TILTS_RAD = (0.0, 0.7, -0.7)
_HARMLESS_SINK_M = 0.01
#: Range of yaw in which the last joint is not near its limit [rad].
_YAW_RANGE_RAD = (-1.7, 2.7)
#: Shift of those limits for a hand that tilts sideways, per sine of the tilt [rad].
_TILT_TURNS_WRIST_RAD = 2.4
#: Sine of the greatest tilt towards the robot's base, above which the wrist cannot bend.
_MOST_BACKWARDS = 0.2
#: Least height to lift an object [m].
_LIFT_M = 0.06
#: Distance in x and y [m] and turn [rad] from a grasp up to which the hand is above it.
AT_HAND_M, AT_HAND_RAD = 0.03, 0.15
#: A grasp with this score [m], or nearly that of the present one, is good enough for a hand that is above it.
_GOOD_M, _NEARLY_M = 0.003, 0.002
#: Turn that costs a hand as much as a way of 1 m [rad].
_TURN_RAD_PER_M = 10.0
#: Differences below which two grasps are nearly the same.
_OTHER_POINT_M, _OTHER_YAW_RAD = 0.011, 0.2
_SHIFTS_M = (0.0, 0.012, -0.012, 0.024, -0.024)

#: Greatest number of styles of a bowl, and the cost of another style than the requested one [m]: more than
#: the gain of a freer way, and less than the cost of a blocked one.
MOST_STYLES = 4
_OTHER_STYLE = 0.03

#: Grasp point (3,) in the world [m], yaw, tolerance (2,) and tilt, see :class:`Grasp`.
Way = tuple[np.ndarray, float, np.ndarray, float]


@dataclass(frozen=True)
class Grasp:
    """A grasp of the target.

    Attributes:
        offset: (3,) grasp point in the target's frame [m].
        yaw: turn of the gripper about world z, 0 for fingers that close along world y [rad].
        tolerance: (2,) greatest misalignment along and across the closing direction at which the fingers
        straddle the object [m].
        tilt: angle about the closing direction, 0 for fingers that point straight down [rad].
    """

    offset: np.ndarray
    yaw: float
    tolerance: np.ndarray
    tilt: float = 0.0

    @property
    def rotation(self) -> np.ndarray:
        """(3, 3) orientation of the gripper in the world."""
        return tilt_rotation(self.yaw, self.tilt) @ Rotation.from_euler("z", self.yaw).as_matrix() @ DOWN

    @property
    def up(self) -> np.ndarray:
        """(3,) unit vector from the fingertips to the palm, the way to the grasp and back."""
        return np.asarray(-self.rotation[:, 2])

    def lateral_offset(self, to_grasp: np.ndarray) -> float:
        """Return the lateral offset of ``to_grasp`` (3,) [m, world axes] from the way to the grasp [m]."""
        return float(np.linalg.norm(to_grasp @ self.rotation[:, :2]))

    def yaw_error(self, rotation: np.ndarray) -> float:
        """Return the angle between the gripper's ``rotation`` (3, 3) and that of the grasp [rad]."""
        return float(Rotation.from_matrix(self.rotation @ rotation.T).magnitude())

    def misalignment(self, to_grasp: np.ndarray) -> float:
        """Return by how much ``to_grasp`` (3,) [m, world axes] exceeds the tolerance [m]; 0 when aligned."""
        along_across = to_grasp @ self.rotation[:, :2]
        return float(np.clip(np.abs(along_across) - self.tolerance, 0.0, None).max())


def grasp_height(box: Box) -> float:
    """Return the height at which to grasp a box [m]: near the top, but above the ground if it is flat."""
    return float(max(box.low[2] + 0.012, box.high[2] - 0.035))


def choose_grasp(
    scene: Scene, target: str, place: str, rank: int = 0, style: tuple[int, int] | None = None
) -> Grasp:
    """Choose a grasp of an object in its present pose.

    Args:
        scene: the scene.
        target: the object.
        place: object or region where it will be released.
        rank: 0 for the best grasp, 1 for the next one that is not nearly the same, ...
        style: (m, n): the m-th of n equal parts of a bowl's rim, counted from +y, if it can be held there.
    """
    ways = _ways(scene, target)
    scores = _scores(scene, target, place, ways, style=style)
    # A stable sort: among equally good grasps the one with less deviation comes first.
    order = [i for i in np.argsort(-scores, kind="stable") if np.isfinite(scores[i])]
    return _grasp_of(scene, target, next(islice(cycle(distinct(ways[i] for i in order)), rank, None)))


def grasp_at_hand(
    scene: Scene, target: str, place: str, instead_of: Grasp, *, style: tuple[int, int] | None = None
) -> Grasp | None:
    """Return the good upright grasp that is nearest to the hand; None if the hand is above none.

    Which of several grasps is the best often depends on millimeters. A policy cannot see that, so the expert
    goes on with the one to which the policy went, if ``instead_of`` is hardly better. See ``choose_grasp``.
    """
    position, rotation = scene.ee_pose()
    yaw = yaw_of(rotation)
    ways = _ways(scene, target, yaw)
    points, turns = np.array([way[0] for way in ways]), np.array([way[1] for way in ways]) - yaw
    turns = np.abs(_without_front(turns))
    distances = np.linalg.norm(points[:, :2] - position[:2], axis=1)
    upright = np.array([way[3] == 0.0 for way in ways])
    near = np.flatnonzero(upright & (distances < AT_HAND_M) & (turns < AT_HAND_RAD))
    present = (held_point(scene, target, instead_of), instead_of.yaw, instead_of.tolerance, instead_of.tilt)
    scores = _scores(scene, target, place, [*(ways[i] for i in near), present], style=style)
    good = near[np.isfinite(scores[:-1]) & (scores[:-1] >= min(_GOOD_M, scores[-1] - _NEARLY_M))]
    if not len(good):
        return None
    return _grasp_of(scene, target, ways[min(good, key=lambda i: distances[i] + turns[i] / _TURN_RAD_PER_M)])


def yaw_of(rotation: np.ndarray) -> float:
    """Return the yaw of a gripper with ``rotation`` (3, 3), as that of a grasp, within 90 degrees [rad]."""
    turned = rotation @ DOWN.T
    return float(_without_front(np.arctan2(turned[1, 0] - turned[0, 1], turned[0, 0] + turned[1, 1])))


def _without_front(yaw: np.ndarray) -> np.ndarray:
    """Return yaws within 90 degrees [rad]: fingers have no front, so turns by 180 degrees are the same."""
    return np.asarray((yaw + np.pi / 2) % np.pi - np.pi / 2)


def _grasp_of(scene: Scene, target: str, way: Way) -> Grasp:
    """Return a way as a grasp in the frame of the target, turned to the hand."""
    point, yaw, tolerance, tilt = way
    offset = scene.body_rotation(target).T @ (point - scene.body_position(target))
    return nearest_turn(Grasp(offset, yaw, tolerance, tilt), scene.ee_pose()[1])


def _ways(scene: Scene, target: str, *yaws_at_hand: float) -> list[Way]:
    """Return all ways to hold the target, least deviation first."""
    if "bowl" in target:
        ways = rim_grasps(scene.body_position(target), scene.body_rotation(target))
        return [(*way, tilt) for tilt in _RIM_TILTS_RAD for way in ways]
    return [(*way, 0.0) for way in box_grasps(scene.object_box(target), *yaws_at_hand)]


def _scores(
    scene: Scene, target: str, place: str, ways: list[Way], *, style: tuple[int, int] | None
) -> np.ndarray:
    """Return how free each way is, at most ``_MARGIN_M`` [m], less what else is bad; -inf: out of reach."""
    body, box = scene.body_position(target), scene.object_box(target)
    points, yaws = np.array([way[0] for way in ways]), np.array([way[1] for way in ways])
    leans = np.array([way[3] for way in ways])
    obstacles = scene.obstacles(target)
    free = np.minimum(clearance(points, yaws, obstacles, leans), _MARGIN_M)
    # At the place the fingers may open above their surroundings, but objects must not fall from high up.
    let_go = scene.place_position(place)[:2] + (points - body)[:, :2]
    # (A tilted hand counts as an upright one.)
    upright, of_way = np.unique(np.column_stack([let_go, yaws]), axis=0, return_inverse=True)
    over = free_height(upright[:, :2], upright[:, 2], obstacles)[of_way]
    fall = over - (points[:, 2] - box.low[2]) - scene.support_height(place)
    # Of a bowl that lies on its side only the upper rim can be held.
    sunk = points[:, 2].max() - points[:, 2]
    arm = np.array([scene.arm_length(point) for point in points + np.array([0.0, 0.0, _LIFT_M])])
    strain = np.maximum(0.0, np.maximum(COMFORTABLE_ARM_M[0] - arm, arm - COMFORTABLE_ARM_M[1]))
    scores = (
        free - np.maximum(0.0, fall - _HARMLESS_FALL_M) - np.maximum(0.0, sunk - _HARMLESS_SINK_M) - strain
    )
    if style is not None and "bowl" in target:
        parts = np.array([rim_part(point - body, style[1]) for point in points])
        scores -= np.where(parts == style[0], 0.0, _OTHER_STYLE)
    bends = tilt_rotation(yaws, leans)[:, :2, 2] @ scene.away_from_base(body) > -_MOST_BACKWARDS
    return np.where(bends, scores, -np.inf)


def rim_part(offset: np.ndarray, parts: int) -> int:
    """Return the index of the part of a rim that contains a point (3,); the first part is around +y."""
    angle = np.arctan2(offset[1], offset[0]) - np.pi / 2
    return int(np.round(angle / (2 * np.pi / parts))) % parts


def distinct(ways: Iterable[Way]) -> Iterator[Way]:
    """Drop grasps that are nearly the same as an earlier one, because the same obstacles block both."""
    kept: list[Way] = []
    for point, yaw, tolerance, tilt in ways:
        near = (
            np.linalg.norm(point - other[0]) < _OTHER_POINT_M
            and abs(yaw - other[1]) < _OTHER_YAW_RAD
            and tilt == other[3]
            for other in kept
        )
        if not any(near):
            kept.append((point, yaw, tolerance, tilt))
            yield kept[-1]


def nearest_turn(grasp: Grasp, rotation: np.ndarray) -> Grasp:
    """Choose the nearer of a grasp and its turn by 180 degrees, within the limits of the wrist.

    Args:
        grasp: the grasp.
        rotation: (3, 3) present rotation of the gripper.
    """
    low, high = np.array(_YAW_RANGE_RAD) + _TILT_TURNS_WRIST_RAD * grasp.up[1]
    # In the frame of the turned hand the same tilt has the opposite sign.
    turns = [replace(grasp, yaw=grasp.yaw + turn, tilt=-grasp.tilt) for turn in (-np.pi, np.pi)]
    reachable = [turned for turned in (turns[0], grasp, turns[1]) if low <= turned.yaw <= high]
    return min(reachable, key=lambda turned: turned.yaw_error(rotation))


def held_point(scene: Scene, target: str, grasp: Grasp) -> np.ndarray:
    """Return the point (3,) at which a grasp holds an object in its present pose [m]."""
    return scene.body_position(target) + scene.body_rotation(target) @ grasp.offset


def rim_grasps(body: np.ndarray, rotation: np.ndarray) -> list[tuple[np.ndarray, float, np.ndarray]]:
    """Yield grasps of a bowl's rim, least deviation first, as :func:`box_grasps`.

    The rim is constant, because the bowl's box is not reliable while it rocks.

    Args:
        body: (3,) position of the bowl [m].
        rotation: (3, 3) its rotation.
    """
    angles = np.radians(np.arange(0.0, 360.0, _RIM_STEP_DEG))
    out = np.stack([np.cos(angles), np.sin(angles), np.zeros_like(angles)], axis=1)
    points = body + (_RIM_RADIUS_M * out + [0.0, 0.0, _RIM_HEIGHT_M]) @ rotation.T
    grasps, costs = [], []
    for (point, (x, y, _)), skew in product(zip(points, out @ rotation.T, strict=True), _RIM_SKEWS_RAD):
        # Fingers have no front: turns by 180 degrees are the same.
        yaw = float(np.arctan(-x / y) if abs(y) > 1e-6 else np.pi / 2) + skew
        grasps.append((point, yaw, _RIM_TOLERANCE_M))
        costs.append((round(abs(yaw) + 2 * abs(skew), 2), -point[1]))
    # Grasps with the same yaw are opposite each other; the one at larger y leaves more room for the arm.
    return [grasps[i] for i in sorted(range(len(grasps)), key=costs.__getitem__)]


def box_grasps(box: Box, *more_yaws: float) -> list[tuple[np.ndarray, float, np.ndarray]]:
    """Yield grasps of a box, least deviation first.

    Args:
        box: the box.
        more_yaws: yaws [rad] to try besides the usual ones.

    Returns:
        Grasp point (3,) in the world [m], yaw [rad] and tolerance (2,) [m] of each.
    """
    center = np.array([*box.center[:2], grasp_height(box)])
    widest = max(_WIDEST_GRASP_M, float(box.size[:2].min()))
    grasps = []
    yaws_deg = (*_YAWS_DEG, *map(float, np.degrees(more_yaws)))
    for yaw_deg, shift in sorted(product(yaws_deg, _SHIFTS_M), key=_deviation_cost):
        sideways = abs(yaw_deg) > 45.0
        length, width = box.size[1::-1] if sideways else box.size[:2]
        turn = np.radians(90.0 - abs(yaw_deg) if sideways else abs(yaw_deg))
        width = width / np.cos(turn) + 2 * _FINGER_HALF_WIDTH_M * np.tan(turn)
        if width > widest or abs(shift) > max(0.0, length / 2 - _FINGER_HALF_WIDTH_M):
            continue
        slack = max(0.004, min((_FINGER_OPENING_M - width) / 2 - 0.003, _ACROSS_TOLERANCE_M))
        point = center + np.array([0.0, shift, 0.0] if sideways else [shift, 0.0, 0.0])
        grasps.append((point, float(np.radians(yaw_deg)), np.array([slack, _ACROSS_TOLERANCE_M])))
    return grasps


def _deviation_cost(candidate: tuple[float, float]) -> float:
    """Return the cost of a yaw [deg] and a shift [m]: 12 mm off center cost as much as 10 degrees."""
    yaw_deg, shift = candidate
    return abs(yaw_deg) + abs(shift) * 10.0 / 0.012
