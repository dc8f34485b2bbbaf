"""What ROS 2 drivers demand of the joints, in true (steady) time, also between the commands they receive.

Every driver is told what arrives (``receive``) and asked what it demands: now (``demand``), or at any times
since the last ``forget`` (``demand_many``), whatever arrived meanwhile. Array letters: ``n`` joints, ``k``
points of a trajectory, ``m`` times.
"""

from __future__ import annotations

from bisect import bisect_right

import numpy as np

from asyncvla_ros.bench.safety_splines import Piece, Trajectory, coefficients, horner

# A driver takes a last velocity below this for zero [unit/s].
FLOAT_EPSILON = float(np.finfo(np.float32).eps)
# After so long without a command MoveIt Servo halts [ns] (incoming_command_timeout).
SERVO_TIMEOUT_NS = 100_000_000


class TrajectoryDriver:
    """joint_trajectory_controller as released from Humble to Kilted, at an update rate without end.

    ::

        first point in the future   state before ──spline──> point 0 ──spline──> ... ──> last point, held
        first point in the past     on the trajectory at once ──spline──> ... ──> last point, held

    The state before is what it demands, or what is measured if ``interpolate_from_desired`` is false. Splines
    are quintic, cubic or linear, as accelerations, velocities or neither are given. It checks neither limits
    nor for NaN.

    Args:
        interpolate_from_desired: Its parameter ``interpolate_from_desired_state`` (Humble:
            ``open_loop_control``).
        update_ns: Since Jazzy it dates the desired state from which it interpolates one update too early: if
            the first point is in the future its demand jumps ahead by what it moves within an update [ns].
    """

    def __init__(self, *, interpolate_from_desired: bool, update_ns: int = 0):
        self.refused = 0
        self._from_desired = interpolate_from_desired
        self._update_ns = update_ns
        self._measured: tuple[np.ndarray, np.ndarray] | None = None
        self._past: list[Piece] = []
        self._since_ns = 0
        self._times: list[int] = []
        self._states: np.ndarray = np.empty((0, 3, 0))
        self._degree = 1
        # Index and coefficients of the piece that was asked for last.
        self._rows: tuple[int, np.ndarray] | None = None

    def restart(self, at_ns: int, position: np.ndarray) -> None:
        """Forget its trajectory at ``at_ns``: it stands at (n,) ``position`` until it receives another."""
        self._leave(at_ns)
        standing = np.array([position, np.zeros_like(position), np.zeros_like(position)], np.float64)
        self._times, self._states, self._degree = [at_ns], standing[None], 1
        self.measure(position)

    def measure(self, position: np.ndarray, velocity: np.ndarray | None = None) -> None:
        """Take the (n,) state that the hardware reports; without a velocity, it counts as 0."""
        at_rest = np.zeros_like(position) if velocity is None else velocity
        self._measured = np.array(position, np.float64), np.array(at_rest, np.float64)

    def receive(self, at_ns: int, message: Trajectory) -> str:
        """Follow a trajectory from now on; return the reason if it is refused, else an empty text."""
        refusal = self._refusal(at_ns, message)
        if refusal:
            self.refused += 1
            return refusal
        times = [message.start_ns + time for time in message.times_ns.tolist()]
        states = message.states
        if times[0] > at_ns:
            times.insert(0, at_ns - self._update_ns if self._from_desired else at_ns)
            states = np.concatenate([self._before(at_ns)[None], states])
        self._leave(at_ns)
        self._times, self._states, self._degree = times, states, message.degree
        return ""

    def _refusal(self, at_ns: int, message: Trajectory) -> str:
        times, shape = message.times_ns, (len(message.times_ns), self._states.shape[2])
        parts = (message.positions, message.velocities, message.accelerations)
        if not len(times) or any(part is not None and part.shape != shape for part in parts):
            return f"expected (k, n) = {shape}, k > 0"
        if message.velocities is not None and np.any(np.abs(message.velocities[-1]) > FLOAT_EPSILON):
            return "the last velocity is not zero"
        if message.start_ns + int(times[-1]) < at_ns:
            return "it ends in the past"
        if np.any(np.diff(times) <= 0):
            return "its times do not increase"
        return ""

    def _before(self, at_ns: int) -> np.ndarray:
        """Return the state (3, n) from which a first point in the future is reached."""
        if self._from_desired:
            return self._state(at_ns)
        assert self._measured is not None
        return np.array([*self._measured, np.zeros_like(self._measured[0])])

    def _leave(self, at_ns: int) -> None:
        if self._times:
            self._past += self._pieces(self._since_ns, at_ns)
        self._since_ns, self._rows = at_ns, None

    def _pieces(self, begin_ns: int, end_ns: int) -> list[Piece]:
        """Return the pieces of the present trajectory that count from ``begin_ns`` to ``end_ns``."""
        first = bisect_right(self._times, begin_ns) - 1
        last = max(first, bisect_right(self._times, end_ns) - 1)
        pieces = []
        for index in range(first, last + 1):
            begin_time, state = self._times[index], self._states[index]
            since_ns = max(begin_ns, begin_time)
            if index + 1 < len(self._times):
                end_time, end = self._times[index + 1], self._states[index + 1]
                pieces.append(Piece(since_ns, begin_time, end_time, self._degree, begin=state, end=end))
            else:
                pieces.append(Piece(since_ns, begin_time, begin_time + 1, 1, begin=state, end=state))
        return pieces

    def _state(self, at_ns: int) -> np.ndarray:
        """Return position, velocity and acceleration that it demands now, (3, n)."""
        if at_ns >= self._times[-1]:
            return self._states[-1]
        rows, share, span_s = self._polynomial(at_ns)
        state = np.empty((3, rows.shape[1]))
        for order in range(3):
            state[order] = horner(rows, share) / span_s**order
            rows = np.arange(1, len(rows))[:, None] * rows[1:]
        return state

    def _polynomial(self, at_ns: int) -> tuple[np.ndarray, float, float]:
        """Return the present piece's coefficients (6, n), its share that is over, and its duration [s]."""
        index = bisect_right(self._times, at_ns) - 1
        if self._rows is None or self._rows[0] != index:
            self._rows = index, coefficients(self._pieces(at_ns, at_ns))[0]
        begin_ns, end_ns = self._times[index : index + 2]
        return self._rows[1], (at_ns - begin_ns) / (end_ns - begin_ns), (end_ns - begin_ns) / 1e9

    def demand(self, at_ns: int) -> np.ndarray:
        """Return the positions (n,) demanded at ``at_ns``, at or after whatever it received last [unit]."""
        if at_ns >= self._times[-1]:
            return self._states[-1, 0]
        rows, share, _ = self._polynomial(at_ns)
        return horner(rows, share)

    def demand_many(self, times_ns: np.ndarray) -> np.ndarray:
        """Return positions (m, n) at (m,) ascending ``times_ns`` since the last ``forget`` [unit]."""
        pieces = [*self._past, *self._pieces(self._since_ns, max(self._since_ns, int(times_ns[-1])))]
        index = np.searchsorted([piece.since_ns for piece in pieces], times_ns, side="right") - 1
        if index[0] < 0:
            raise ValueError(f"expected times since {pieces[0].since_ns}, got {times_ns[0]}")
        # Only those that were asked for: a trajectory may be replaced many times between two of them.
        used, index = np.unique(index, return_inverse=True)
        pieces = [pieces[i] for i in used]
        begin = np.array([piece.begin_ns for piece in pieces])
        spans = np.array([piece.end_ns - piece.begin_ns for piece in pieces])
        share = (times_ns - begin[index]) / spans[index]
        return horner(np.moveaxis(coefficients(pieces)[index], 1, 0), share[:, None])

    def forget(self, before_ns: int) -> None:
        """Forget what it demanded before ``before_ns``: nobody asks for it again."""
        count = bisect_right([piece.since_ns for piece in self._past], before_ns)
        # The piece that counts at that time is still needed, unless it is one of the present trajectory.
        if self._since_ns <= before_ns:
            self._past.clear()
            self._since_ns = before_ns
        elif count > 1:
            del self._past[: count - 1]


class HeldPositionDriver:
    """A forward position controller: it demands the last value for ever [unit]."""

    def __init__(self) -> None:
        self._times: list[int] = []
        self._values: list[np.ndarray] = []

    def restart(self, at_ns: int, position: np.ndarray) -> None:
        """Forget what it received; it stands at (n,) ``position`` until it receives something."""
        self.receive(at_ns, position)

    def receive(self, at_ns: int, message: np.ndarray) -> None:
        """Demand the (n,) values of a message from now on."""
        self._times.append(at_ns)
        self._values.append(np.array(message, np.float64))

    def demand(self, at_ns: int) -> np.ndarray:
        """Return the values (n,) demanded at ``at_ns``, at or after whatever it received last."""
        return self._values[-1]

    def demand_many(self, times_ns: np.ndarray) -> np.ndarray:
        """Return the values (m, n) demanded at (m,) ascending ``times_ns`` since the last ``forget``."""
        return np.array(self._values)[self._index(times_ns)]

    def _index(self, times_ns: np.ndarray) -> np.ndarray:
        index = np.searchsorted(self._times, times_ns, side="right") - 1
        if index[0] < 0:
            raise ValueError(f"expected times since {self._times[0]}, got {times_ns[0]}")
        return index

    def forget(self, before_ns: int) -> None:
        """Forget what it demanded before ``before_ns``: nobody asks for it again."""
        count = bisect_right(self._times, before_ns) - 1
        if count > 0:
            del self._times[:count], self._values[:count]


class PoseDriver(HeldPositionDriver):
    """A Cartesian controller: it demands the last pose, (9,) x y z [m] and two columns of a rotation."""


class HeldVelocityDriver(HeldPositionDriver):
    """A forward velocity controller: it demands the last velocity for ever [unit/s]."""

    def restart(self, at_ns: int, position: np.ndarray) -> None:
        """Forget what it received: it stands still, wherever that is."""
        self.receive(at_ns, np.zeros_like(position))


class ServoDriver(HeldVelocityDriver):
    """MoveIt Servo: it demands the last twist until ``SERVO_TIMEOUT_NS`` after it, and then halts."""

    def demand(self, at_ns: int) -> np.ndarray:
        """Return velocities (n,) demanded at ``at_ns``, at or after whatever it received last [unit/s]."""
        halted = at_ns - self._times[-1] >= SERVO_TIMEOUT_NS
        return np.zeros_like(self._values[-1]) if halted else self._values[-1]

    def demand_many(self, times_ns: np.ndarray) -> np.ndarray:
        """Return velocities (m, n) at (m,) ascending ``times_ns`` since the last ``forget`` [unit/s]."""
        age_ns = times_ns - np.array(self._times)[self._index(times_ns)]
        return np.where((age_ns < SERVO_TIMEOUT_NS)[:, None], super().demand_many(times_ns), 0.0)
