"""To which place a hand went first: where its target is, or where it usually is."""

from __future__ import annotations

import numpy as np

#: So near in x and y, and at most so far above it, the hand is at a place [m].
NEAR_M, LOW_M = 0.06, 0.10


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
