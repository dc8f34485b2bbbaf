"""The clock that motion is computed by: steady time, or the time of the driver's simulation."""

from __future__ import annotations

# A simulated clock without a tick for longer than this is paused [ns].
PAUSED_NS = 100_000_000


class MotionClock:
    """The time that passes for the driver.

    ::

        use_sim_time false   steady time, whatever the node clock does
        use_sim_time true    the simulated clock while it runs; steady time while it stands or goes back

    So a stop runs to its end on a steady clock even if ``/clock`` has ended, and an arm in a simulation that
    runs at half speed is not commanded at double speed.
    """

    def __init__(self) -> None:
        self._motion_ns = 0
        self._steady_ns: int | None = None
        self._node_ns = 0
        self._moved_ns = 0

    def read(self, steady_ns: int, node_ns: int, *, is_simulated: bool) -> int:
        """Return the time of motion [ns], which never goes back.

        Args:
            steady_ns: Steady clock [ns].
            node_ns: Node clock [ns].
            is_simulated: Whether the node clock is ``/clock``.
        """
        if self._steady_ns is None:
            self._motion_ns, self._moved_ns = steady_ns, steady_ns
        else:
            went_on, ran = steady_ns - self._steady_ns, node_ns - self._node_ns
            if ran > 0:
                self._moved_ns = steady_ns
            is_paused = ran < 0 or steady_ns - self._moved_ns > PAUSED_NS
            self._motion_ns += ran if is_simulated and not is_paused else went_on
        self._steady_ns, self._node_ns = steady_ns, node_ns
        return self._motion_ns
