"""Arms that obey badly, and what their joint_states say, in true time."""

from __future__ import annotations

from collections import deque

import numpy as np

ARMS = ("ideal", "lag", "sag", "blocked", "switched_off", "moved_by_hand", "wraps", "zeros", "restarts")
# An arm lags by at most so much [ns].
LAG_NS = 200_000_000
# It hangs below its demand by at most so much [rad].
SAG_RAD = 0.08
# It is moved by hand by at most so much [rad].
HAND_RAD = 0.6
# An arm that may go again closes up with its demand by 1/e within this [s].
CLOSING_S = 0.05
# From the end of one disturbance to the next one, and how long one lasts, at least and at most [s].
QUIET_S, DISTURBED_S = (3.0, 15.0), (0.5, 3.0)
# What is told to an arm may be of a measurement so long ago [ns]: of one that waited, for a late timer.
RECENT_NS = 100_000_000
# One report in so many is wrong.
WRONG_EVERY = 200


class MeasuredArm:
    """One arm of a kind: where it truly is, and what is measured of it.

    ::

        demand ──lag──> ── minus sag ──> true ──wrap, wrong samples──> measured
                                          ^ blocked, held by its brakes, or moved by hand

    ========================  ==================================================================
    ``ideal``                 is where it is demanded to be
    ``lag``                   after a pure delay, or by first order, of 0 to 200 ms
    ``sag``                   lags, and hangs below its demand by up to 0.08 rad
    ``blocked``               lags, and now and then stands still, whatever is demanded
    ``switched_off``          lags, and now and then its drives are off, and its brakes hold it
    ``moved_by_hand``         lags, and now and then its drives are off and somebody moves it
    ``wraps``                 lags, and is measured within (-pi, pi]
    ``zeros``                 lags, and now and then one report says 0 for every joint
    ``restarts``              lags, and now and then its driver is away, and forgets its demand
    ========================  ==================================================================

    Args:
        rng: Source of everything random.
        n: Joints.
        kind: One of ``ARMS``.
        reach: (n,) least and (n,) greatest position where a hand may leave it [rad]; None: anywhere.

    Attributes:
        lag_ns: By how much it lags [ns].
        obeys: Whether it follows its demand: it is not blocked, its drives are on and its driver is there.
        has_drives: Whether its drives are on and its driver is there, as a driver can say.
        has_restarted: Whether a driver is back in this step, and holds the arm where it is.
        is_wrong: Whether what is measured in this step is not so.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        n: int,
        kind: str,
        reach: tuple[np.ndarray, np.ndarray] | None = None,
    ):
        if kind not in ARMS:
            raise ValueError(f"kind is {kind}, expected one of {', '.join(ARMS)}")
        self.obeys = self.has_drives = True
        self.has_restarted = self.is_wrong = False
        self._rng, self.kind, self._reach = rng, kind, reach
        self.lag_ns = 0 if kind == "ideal" else int(rng.integers(LAG_NS + 1))
        self._is_delay = bool(rng.random() < 0.5)
        self._sag = rng.random(n) * (SAG_RAD if kind == "sag" else 0.0)
        self._at_ns: int | None = None
        self._demands: deque[tuple[int, np.ndarray]] = deque()
        self._lagging: np.ndarray = np.zeros(n)
        # How far it is from where it would be if it had always obeyed.
        self._apart: np.ndarray = np.zeros(n)
        self._true: np.ndarray = np.zeros(n)
        self._measured: np.ndarray = np.zeros(n)
        self._recent: deque[tuple[int, np.ndarray]] = deque()
        # The disturbance: when it begins and ends, and the way that a hand leads the arm meanwhile.
        self._begin_ns = self._end_ns = 0
        self._from: np.ndarray = np.zeros(n)
        self._way: np.ndarray = np.zeros(n)

    def place(self, at_ns: int, demand: np.ndarray) -> None:
        """Put the arm, obedient, where (n,) ``demand`` makes it stand [unit]."""
        self.obeys = self.has_drives = True
        self._at_ns = self._end_ns = at_ns
        self._plan()
        self._forget(at_ns, np.array(demand, np.float64))
        self._true = self.settled(self._lagging)
        self._measured = self._report()
        self._recent = deque([(at_ns, self._true)])

    def settled(self, demand: np.ndarray) -> np.ndarray:
        """Return where it hangs under a (n,) ``demand`` that has arrived, if it obeys, (n,) [unit]."""
        settled: np.ndarray = demand - self._sag
        return settled

    def _forget(self, at_ns: int, demand: np.ndarray) -> None:
        """Forget all other demands, as if (n,) ``demand`` had stood for long and the arm were there."""
        self._demands = deque([(at_ns, demand)])
        self._lagging = demand
        self._apart = np.zeros_like(demand)

    def _plan(self) -> None:
        """Plan the next disturbance."""
        quiet_s, lasting_s = self._rng.uniform(*QUIET_S), self._rng.uniform(*DISTURBED_S)
        self._begin_ns = self._end_ns + round(quiet_s * 1e9)
        self._end_ns = self._begin_ns + round(lasting_s * 1e9)

    def step(self, at_ns: int, demand: np.ndarray) -> None:
        """Move on to ``at_ns`` under (n,) ``demand`` [unit]; the first step places the arm.

        Steps are to be short against the lag. In the step of a restart the demand is already forgotten.
        """
        self.has_restarted = False
        if self._at_ns is None:
            self.place(at_ns, demand)
            return
        elapsed_s = (at_ns - self._at_ns) / 1e9
        self._at_ns = at_ns
        self._disturb(at_ns)
        if self.has_restarted:
            self._forget(at_ns, self._true)
        else:
            self._demands.append((at_ns, np.array(demand, np.float64)))
        target = self.settled(self._delayed(at_ns) if self._is_delay else self._eased(elapsed_s))
        if self.obeys:
            self._apart = self._apart * np.exp(-elapsed_s / CLOSING_S)
            self._true = target + self._apart
        else:
            self._true = self._from + self._way * self._progress(at_ns)
            self._apart = self._true - target
        self._measured = self._report()
        self._recent.append((at_ns, self._true))
        while self._recent[0][0] < at_ns - RECENT_NS:
            self._recent.popleft()

    def _delayed(self, at_ns: int) -> np.ndarray:
        """Return the demand (n,) of a lag ago, between two demands along a straight line."""
        due_ns = at_ns - self.lag_ns
        while len(self._demands) > 1 and self._demands[1][0] <= due_ns:
            self._demands.popleft()
        begin_ns, begin = self._demands[0]
        if len(self._demands) == 1 or due_ns <= begin_ns:
            return begin
        end_ns, end = self._demands[1]
        return begin + (end - begin) * ((due_ns - begin_ns) / (end_ns - begin_ns))

    def _eased(self, elapsed_s: float) -> np.ndarray:
        """Apply a first-order lag to the demand, (n,)."""
        demand = self._demands[-1][1]
        self._demands.clear()
        share = 1.0 if self.lag_ns == 0 else -np.expm1(-elapsed_s * 1e9 / self.lag_ns)
        self._lagging = self._lagging + share * (demand - self._lagging)
        return self._lagging

    def _disturb(self, at_ns: int) -> None:
        """Begin or end a disturbance that is due."""
        if self.kind not in ("blocked", "switched_off", "moved_by_hand", "restarts"):
            return
        if self.obeys and at_ns >= self._begin_ns:
            self.obeys = False
            self._begin_ns, self._end_ns = at_ns, self._end_ns + at_ns - self._begin_ns
            self.has_drives = self.kind == "blocked"
            self._from, self._way = self._true, np.zeros_like(self._true)
            if self.kind == "moved_by_hand":
                aim = self._from + self._rng.uniform(-HAND_RAD, HAND_RAD, len(self._from))
                self._way = (aim if self._reach is None else np.clip(aim, *self._reach)) - self._from
        elif not self.obeys and at_ns >= self._end_ns:
            self.obeys = self.has_drives = True
            self.has_restarted = self.kind == "restarts"
            self._end_ns = at_ns
            self._plan()

    def _progress(self, at_ns: int) -> float:
        """Compute how far a hand has led the arm, from 0 to 1: smooth, and 1 for the last third."""
        share = (at_ns - self._begin_ns) / (self._end_ns - self._begin_ns) * 1.5
        return float((1 - np.cos(np.pi * min(1.0, share))) / 2)

    def _report(self) -> np.ndarray:
        self.is_wrong = self.kind == "zeros" and bool(self._rng.integers(WRONG_EVERY) == 0)
        if self.is_wrong:
            return np.zeros_like(self._true)
        if self.kind == "wraps":
            return np.pi - np.mod(np.pi - self._true, 2 * np.pi)
        return self._true.copy()

    def wandered(self) -> np.ndarray:
        """Return how far it is from where it was lately, (n,) [unit]: nobody has measured that yet."""
        return np.abs(np.array([true for _, true in self._recent]) - self._true).max(axis=0)

    def measured(self) -> np.ndarray:
        """Return what joint_states say after the last step, (n,) [unit]."""
        return self._measured

    def true(self) -> np.ndarray:
        """Return where it is after the last step, (n,) [unit]."""
        return self._true
