"""To which place a hand went first: where its target is, or where it usually is."""

from __future__ import annotations

import numpy as np

from asyncvla_ros.sim.libero.scene import Scene

#: So near in x and y, and at most so far above it, the hand is at a place [m].
NEAR_M, LOW_M = 0.06, 0.10
#: Nearer to its usual place a target cannot be told from it.
_SAME_PLACE_M = 2 * NEAR_M


class FirstApproach:
    """Where the hand goes first in an episode.

    Args:
        scene: After the reset.
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._places = _target_places(scene)
        self._path: list[np.ndarray] = []
        self.note()

    def note(self) -> None:
        """Notes where the hand is now."""
        if self._places is not None:
            self._path.append(self._scene.ee_pose()[0])

    @property
    def place(self) -> str | None:
        """See ``classify_first_approach``; None as well where the task is not about something that moves."""
        return None if self._places is None else classify_first_approach(np.array(self._path), *self._places)


def _target_places(scene: Scene) -> tuple[np.ndarray, np.ndarray | None] | None:
    """(3,) where the first thing to be moved stands, and (3,) where it usually does if that is elsewhere."""
    target = scene.goals[0][1]
    if target not in scene.object_names():
        return None
    place, usual = scene.body_position(target), scene.usual_place(target)
    if usual is None or np.linalg.norm(usual - place[:2]) < _SAME_PLACE_M:
        return place, None
    return place, np.append(usual, place[2])


def classify_first_approach(path: np.ndarray, target: np.ndarray, usual: np.ndarray | None) -> str | None:
    """The first place to which the hand went down.

    That is of its first stretch near the table: where that comes near one of the places, or else neither.

    Args:
        path: (n, 3) positions of the point between the fingertips [m].
        target: (3,) where the target is when the episode begins [m].
        usual: (3,) where it is in the official layout [m]; None: at the same place.

    Returns:
        ``target``, ``usual``, ``other``, or None for a hand that stays above.
    """
    places = {"target": target} if usual is None else {"target": target, "usual": usual}
    low = path[:, 2] < max(place[2] for place in places.values()) + LOW_M
    if not low.any():
        return None
    first = int(np.argmax(low))
    after = ~low[first:]
    stretch = path[first : first + int(np.argmax(after))] if after.any() else path[first:]
    distances = {name: np.linalg.norm(stretch[:, :2] - place[:2], axis=1) for name, place in places.items()}
    reached = {name: int(np.argmax(d < NEAR_M)) for name, d in distances.items() if (d < NEAR_M).any()}
    # Where both are near at once, the nearer one.
    return min(reached, key=lambda name: (reached[name], distances[name][reached[name]]), default="other")
