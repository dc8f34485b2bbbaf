"""Where everything in a scene is, to be brought back to it."""

from __future__ import annotations

from typing import Any

import numpy as np


class Arrangement:
    """Keep where arm, objects and furniture are now.

    Args:
        sim: robosuite's simulation, which must not be reset before ``restore``.
    """

    def __init__(self, sim: Any) -> None:
        self._sim = sim
        self._state = np.array(sim.get_state().flatten())
        # Furniture has no joints: it moves with the places of bodies in the model.
        self._bodies = np.array(sim.model.body_pos)

    def restore(self) -> None:
        """Put everything back, at the velocities that it had."""
        self._sim.model.body_pos[:] = self._bodies
        self._sim.set_state_from_flattened(self._state)
        self._sim.forward()
