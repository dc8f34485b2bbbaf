"""Initial placement of a scene's objects, also outside of LIBERO's narrow regions.

    official   as LIBERO places them
    widened    each object shifted by some centimeters
    exchanged  objects on the table exchange places, always including the one to be moved
    free       objects anywhere on the table within the arm's reach; furniture shifted by some centimeters

Instructions stay true: a bowl "next to the ramekin" moves with the ramekin, one "from table center" stays
there, and objects on or in furniture move with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from asyncvla_ros.sim.libero.scene import COMFORTABLE_ARM_M, Scene
from asyncvla_ros.types import AsyncVLAError, RunError

PLACEMENTS = ("official", "widened", "exchanged", "free")
#: Shift of objects in widened placements along each axis [m].
DISPLACE_M = 0.04
#: Margin of the used part of the table around LIBERO's placements [m].
_BEYOND_M = 0.05
_JITTER_M = 0.02
#: Shift of furniture along each axis [m].
_FURNITURE_M = 0.04
#: Clearance of two groups: a finger's width; more would leave no room on the table [m].
_MARGIN_M = 0.02
#: Distance behind a container that it hides from the camera [m].
_HIDDEN_M = 0.2
_TRIES = 60
#: Clearance of displaced objects [m], and greatest number of draws of a shift.
_APART_M, _SHIFT_TRIES = 0.01, 200
_RESTARTS = 40


@dataclass(frozen=True)
class _Group:
    """Objects that move together.

    Attributes:
        members: Their names; the first one defines the place.
        origin: (2,) place of the first one [m].
        low: (m, 2) lower corners of the members' boxes [m].
        high: (m, 2) upper corners.
        at: (m, 2) places of the members.
        is_placed_by_table: Whether the instruction names its place on the table.
        must_reach: Whether the arm must reach it.
        is_container: Whether the objects to be moved go into it.
    """

    members: tuple[str, ...]
    origin: np.ndarray
    low: np.ndarray
    high: np.ndarray
    at: np.ndarray
    is_placed_by_table: bool
    must_reach: bool
    is_container: bool

    def moved(self, origin: np.ndarray, turn: float) -> _Group:
        """Return the group at another place, turned about its first member by an angle [rad]."""
        c, s = np.cos(turn), np.sin(turn)
        at = origin + (self.at - self.origin) @ np.array([[c, s], [-s, c]])
        shift = at - self.at
        return replace(self, origin=origin, low=self.low + shift, high=self.high + shift, at=at)

    def overlaps(self, low: np.ndarray, high: np.ndarray) -> bool:
        """Return whether a member is within the margin of a box, of (k, 2) low and high corners."""
        apart = (self.low[:, None] - _MARGIN_M >= high) | (self.high[:, None] + _MARGIN_M <= low)
        return not bool(apart.any(axis=2).all())


def arrange(scene: Scene, kind: str, rng: np.random.Generator, displace_m: float = DISPLACE_M) -> None:
    """Rearrange a scene after LIBERO's reset.

    Args:
        scene: Scene whose objects are moved.
        kind: One of ``PLACEMENTS``.
        rng: Source of randomness.
        displace_m: Shift of ``widened`` placements along each axis [m].

    Raises:
        AsyncVLAError: The kind of placement is unknown.
        RunError: There is no room.
    """
    if kind not in PLACEMENTS:
        raise AsyncVLAError(f"placement is {kind!r}, choose one of {PLACEMENTS}")
    if kind == "widened":
        displace_objects(scene, rng, displace_m)
    elif kind in ("exchanged", "free"):
        if kind == "free":
            _shift_furniture(scene, rng)
        groups = _groups(scene)
        for restart in range(_RESTARTS):
            # Objects that are too large to exchange places exactly may miss them by more and more.
            if _place_groups(scene, groups, kind, rng, jitter_m=_JITTER_M * (1 + restart / 4)):
                return
        raise RunError(f"no room for a placement of kind {kind!r} was found in {_RESTARTS} tries")


def displace_objects(scene: Scene, rng: np.random.Generator, reach_m: float) -> None:
    """Shift each object on the table or floor by up to ``reach_m`` in x and y, without overlaps.

    Objects on another object move with it; fixtures and objects on or in them stay. A shift without room, or
    out of the arm's reach, is dropped.

    Args:
        scene: Scene whose objects are moved.
        rng: Source of the shifts.
        reach_m: Largest shift along each axis [m].
    """
    on_workspace = scene.on_workspace()
    for name in on_workspace:
        # The table itself is lower.
        others = [other for other in (*on_workspace, *scene.furniture()) if other != name]
        for _ in range(_SHIFT_TRIES):
            shift = rng.uniform(-reach_m, reach_m, size=2)
            body = scene.body_position(name)
            farthest = max(COMFORTABLE_ARM_M[1], scene.arm_length(body))
            within_reach = scene.arm_length(body + np.append(shift, 0.0)) <= farthest
            if within_reach and is_free(scene, (name,), shift, others):
                for moved in (name, *scene.riders(name)):
                    scene.shift_object(moved, shift)
                scene.forward()
                break


def is_free(scene: Scene, names: tuple[str, ...], shift: np.ndarray, others: list[str]) -> bool:
    """Return whether objects, shifted by (2,) [m], stay a finger's width from the boxes of others."""
    boxes = [scene.object_box(name) for name in others]
    for own in map(scene.object_box, names):
        low, high = own.low[:2] + shift - _APART_M, own.high[:2] + shift + _APART_M
        if any(np.all(low < box.high[:2]) and np.all(high > box.low[:2]) for box in boxes):
            return False
    return True


def _place_groups(
    scene: Scene, groups: list[_Group], kind: str, rng: np.random.Generator, jitter_m: float
) -> bool:
    """Find places for all groups and move them there; return False and move none if one has no place."""
    fixed = [scene.object_box(name) for name in scene.furniture()]
    boxes = [(box.low[:2], box.high[:2]) for box in fixed]
    centers = np.array([group.origin for group in groups])
    area = centers.min(axis=0) - _BEYOND_M, centers.max(axis=0) + _BEYOND_M
    order = sorted(groups, key=lambda group: (not group.is_placed_by_table, -_area(group)))
    free = [group for group in order if not (group.is_placed_by_table or group.is_container)]
    swapped = _exchange(free, scene, rng) if kind == "exchanged" else {}
    placed: list[_Group] = []
    for group in order:
        for place, turn in _proposals(group, swapped.get(group.members), area, rng, jitter_m=jitter_m):
            candidate = group.moved(place, turn)
            if _is_within(candidate, area) and _fits(candidate, scene, boxes, placed):
                break
        else:
            return False
        placed.append(candidate)
        boxes += zip(candidate.low, candidate.high, strict=True)
    for before, after in zip(order, placed, strict=True):
        for name, shift in zip(before.members, after.at - before.at, strict=True):
            scene.shift_object(name, shift)
    scene.forward()
    return True


def _exchange(
    groups: list[_Group], scene: Scene, rng: np.random.Generator
) -> dict[tuple[str, ...], np.ndarray]:
    """Assign to each group the place of a group, and another one to the object to be moved."""
    targets = [place for place, group in enumerate(groups) if scene.goals[0][1] in group.members]
    own = np.arange(len(groups))
    order: np.ndarray = own
    for _ in range(_TRIES):
        order = rng.permutation(len(groups))
        moved = order != own
        if moved[targets].all() if targets else moved.any():
            break
    return {group.members: groups[other].origin for group, other in zip(groups, order, strict=True)}


def _proposals(
    group: _Group,
    place: np.ndarray | None,
    area: tuple[np.ndarray, np.ndarray],
    rng: np.random.Generator,
    jitter_m: float,
) -> Iterator[tuple[np.ndarray, float]]:
    """Yield places and turns to try: near a given place, else anywhere."""
    for _ in range(_TRIES):
        turn = rng.uniform(-np.pi, np.pi) if len(group.members) > 1 else 0.0
        if group.is_placed_by_table:
            yield group.origin + rng.uniform(-_JITTER_M, _JITTER_M, 2), 0.0
        elif place is not None:
            yield place + rng.uniform(-jitter_m, jitter_m, 2), turn
        else:
            yield rng.uniform(*area), turn


def _is_within(group: _Group, area: tuple[np.ndarray, np.ndarray]) -> bool:
    """Return whether the camera sees the whole group."""
    return bool((group.at > area[0] - _BEYOND_M).all() and (group.at < area[1] + _BEYOND_M).all())


def _fits(
    group: _Group, scene: Scene, boxes: list[tuple[np.ndarray, np.ndarray]], placed: list[_Group]
) -> bool:
    """Return whether a group is clear of placed objects, in sight and within reach."""
    if any(_hides(group, other) or _hides(other, group) for other in placed):
        return False
    if boxes:
        low, high = (np.array(corners) for corners in zip(*boxes, strict=True))
        if group.overlaps(low, high):
            return False
    if not group.must_reach:
        return True
    heights = [scene.body_position(name)[2] for name in group.members]
    lengths = [scene.arm_length(np.append(at, height)) for at, height in zip(group.at, heights, strict=True)]
    return min(lengths) >= COMFORTABLE_ARM_M[0] and max(lengths) <= COMFORTABLE_ARM_M[1]


def _hides(front: _Group, behind: _Group) -> bool:
    """Return whether a container hides objects to be moved from the camera, which looks along -x."""
    if not front.is_container or not behind.must_reach:
        return False
    beside = (front.low[:, None, 1] > behind.high[:, 1]) | (front.high[:, None, 1] < behind.low[:, 1])
    ahead = front.low[:, None, 0] - behind.high[:, 0]
    return bool((~beside & (ahead > 0) & (ahead < _HIDDEN_M)).any())


def _area(group: _Group) -> float:
    size = group.high.max(axis=0) - group.low.min(axis=0)
    return float(size.prod())


def _groups(scene: Scene) -> list[_Group]:
    """Group objects on the table with their riders and objects that the instruction places beside them."""
    wanted = {name for goal in scene.goals for name in goal[1:]}
    places = {scene.place_object(goal[-1]) for goal in scene.goals}
    containers = {scene.place_object(goal[-1]) for goal in scene.goals if scene.is_container(goal)}
    groups = []
    for together in _together(scene):
        members = tuple(rider for name in together for rider in (name, *scene.riders(name)))
        boxes = [scene.object_box(name) for name in members]
        at = np.array([scene.body_position(name)[:2] for name in members])
        groups.append(
            _Group(
                members,
                at[0],
                np.array([box.low[:2] for box in boxes]),
                np.array([box.high[:2] for box in boxes]),
                at=at,
                is_placed_by_table=any(scene.is_placed_by_table(name) for name in members),
                must_reach=any(name in wanted or name in places for name in members),
                is_container=any(name in containers for name in members),
            )
        )
    return groups


def _together(scene: Scene) -> list[list[str]]:
    """Return the objects on the table, in lists of those that must stay together."""
    found: list[list[str]] = []
    for name in scene.on_workspace():
        near = {name, *scene.landmarks(name)}
        apart = [names for names in found if not near.intersection(names)]
        joined = [other for names in found if near.intersection(names) for other in names]
        found = [*apart, [*joined, *sorted(near.difference(joined))]]
    return found


def _shift_furniture(scene: Scene, rng: np.random.Generator) -> None:
    """Shift each piece of furniture by some centimeters, unless it would hit another one."""
    for name in scene.furniture():
        shift, box = rng.uniform(-_FURNITURE_M, _FURNITURE_M, 2), scene.object_box(name)
        others = [scene.object_box(other) for other in scene.furniture() if other != name]
        low, high = box.low[:2] + shift, box.high[:2] + shift
        if all(((low > other.high[:2]) | (high < other.low[:2])).any() for other in others):
            scene.shift_furniture(name, shift)
            scene.forward()
