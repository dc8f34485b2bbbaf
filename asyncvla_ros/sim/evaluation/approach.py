"""To which place a hand went first: where its target is, or where it usually is."""

from __future__ import annotations

import numpy as np

from asyncvla_ros.sim.libero.scene import Scene

#: So near in x and y, and at most so far above what is there, the hand is at a place [m]: it carries things
#: higher than that over others.
NEAR_M, LOW_M = 0.06, 0.03
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
        """Note where the hand is now."""
        if self._places is not None:
            self._path.append(self._scene.ee_pose()[0])

    @property
    def place(self) -> str | None:
        """See ``classify_first_approach``; None as well where the task is not about something that moves."""
        return None if self._places is None else classify_first_approach(np.array(self._path), *self._places)


def _target_places(scene: Scene) -> tuple[np.ndarray, np.ndarray | None] | None:
    """Return the top of the first thing to be moved (3,), and its usual place (3,) if it is elsewhere now."""
    target = scene.goals[0][1]
    if target not in scene.object_names():
        return None
    place, usual = scene.body_position(target), scene.usual_place(target)
    place[2] = scene.object_box(target).high[2]
    if usual is None or np.linalg.norm(usual - place[:2]) < _SAME_PLACE_M:
        return place, None
    return place, np.append(usual, place[2])


def classify_first_approach(path: np.ndarray, target: np.ndarray, usual: np.ndarray | None) -> str | None:
    """Find the first place to which the hand went down.

    That is of its first stretch low enough: where that comes near one of the places, or else neither. For a
    target that stands high the hand may begin low; then it is the first stretch after that.

    Args:
        path: (n, 3) positions of the point between the fingertips [m].
        target: (3,) top of the target when the episode begins [m].
        usual: (3,) where that is in the official layout [m]; None: at the same place.

    Returns:
        ``target``, ``usual``, ``other``, or None for a hand that stays above.
    """
    places = {"target": target} if usual is None else {"target": target, "usual": usual}
    low = path[:, 2] < max(place[2] for place in places.values()) + LOW_M
    if not low.any():
        return None
    first = int(np.argmax(low))
    after = first + int(np.argmax(~low[first:])) if not low[first:].all() else len(path)
    stretch = path[first:after, :2]
    distances = {name: np.linalg.norm(stretch - place[:2], axis=1) for name, place in places.items()}
    reached = {name: int(np.argmax(d < NEAR_M)) for name, d in distances.items() if (d < NEAR_M).any()}
    if not reached and first == 0:
        return classify_first_approach(path[after:], target, usual)
    # Where both are near at once, the nearer one.
    return min(reached, key=lambda name: (reached[name], distances[name][reached[name]]), default="other")
