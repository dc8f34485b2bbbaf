"""The one decision whether the controller may move the arm."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

import numpy as np

from asyncvla_ros.control.robot_state import AGREEING, RobotState
from asyncvla_ros.control.types import Mode, Reason, Verdict
from asyncvla_ros.robot.contract import Dof, RobotContract
from asyncvla_ros.robot.motion_limits import following_limit

# Multiple of its velocity limit above which a joint's measured motion is implausible.
IMPLAUSIBLE = 2.0


def nearest(dof: Dof, position: float, reference: float) -> float:
    """Return ``position`` [unit] by whole turns nearest to ``reference``: a driver may wrap angles to ± π."""
    if dof.unit != "rad":
        return position
    return reference + math.remainder(position - reference, 2 * math.pi)


class Supervisor:
    """Decide whether the controller may move the arm: latches, drivers, enable switch, following error.

    ::

        ESTOP, FAULT (latched until ``reset``) > enable switch > driver's states > listeners > nothing

    Latches outlive the lifecycle of the node; all else is the last value that was noted.

    Args:
        robot: Limits and inputs.
        agreeing: Consecutive samples that must agree before a following error counts.
    """

    def __init__(self, robot: RobotContract, agreeing: int = AGREEING):
        self._robot = robot
        self._agreeing = agreeing
        #: The latched emergency stop or fault; None if there is none.
        self.latch: Verdict | None = None
        self._drivers: list[int | None] = [None for _ in robot.driver_states]
        self._enabled_ns: int | None = None
        self._is_enabled = False
        self._unacknowledged: tuple[str, ...] = ()
        #: Whether no output has a driver.
        self.reaches_nobody = False
        #: Whether a driver has connected just now.
        self.has_come = False
        self._others: tuple[str, ...] = ()
        names = robot.state_names
        self._followed = [
            i
            for i, dof in enumerate(robot.dofs)
            if dof.name in names and not (dof.is_delta or dof.holds_command)
        ]
        self.forget_motion()

    def forget_motion(self) -> None:
        """Forget all commands, so that there is none to follow."""
        self._commanded: deque[tuple[int, np.ndarray]] = deque()
        self._exceeded = [0 for _ in self._followed]
        self._is_lost = self.is_returning = False
        self._checked: list[tuple[int, float] | None] = [None for _ in self._followed]
        self._implausible: set[int] = set()

    def estop(self) -> Verdict:
        """Latch the emergency stop, which outranks a fault."""
        self.latch = Verdict(Mode.ESTOP, Reason.ESTOP, "emergency stop; reset it to go on")
        return self.latch

    def fault(self, reason: Reason, text: str) -> Verdict:
        """Latch a fault unless something is latched already; return what is latched."""
        self.latch = self.latch or Verdict(Mode.FAULT, reason, text)
        return self.latch

    def reset(self) -> bool:
        """Release the latch; return False if nothing was latched.

        After a following error the command first returns to where the arm is measured.
        """
        was_latched = self.latch is not None
        self.latch = None
        is_lost = self._is_lost
        self.forget_motion()
        self.is_returning = is_lost
        return was_latched

    def note_returned(self) -> None:
        """Note that the command has returned to the arm."""
        self.forget_motion()

    def note_driver(self, index: int, value: int | None) -> None:
        """Note the newest value of a driver state of the contract; None: its publisher is gone."""
        self._drivers[index] = value

    def note_enable(self, at_ns: int, *, is_on: bool) -> None:
        """Note a heartbeat of the enable switch that arrived at ``at_ns`` [ns, steady]."""
        self._is_enabled, self._enabled_ns = is_on, at_ns

    def note_unacknowledged(self, topics: Sequence[str], *, are_all: bool, has_come: bool = False) -> None:
        """Note which outputs' commands reach no driver.

        Args:
            topics: Outputs without an acknowledged driver.
            are_all: Whether ``topics`` are all outputs.
            has_come: Whether a driver has connected since the last call.
        """
        self._unacknowledged, self.reaches_nobody = tuple(topics), are_all and bool(topics)
        self.has_come = has_come

    def note_takeover(self, names: Sequence[str]) -> None:
        """Latch a fault because others command the arm."""
        self._others = tuple(names)
        if names:
            self.fault(
                Reason.TAKEOVER, f"others command this arm, too: {', '.join(names)}; end them, then reset"
            )

    @property
    def is_taken_over(self) -> bool:
        """Whether others command the arm, or did so and the fault was not reset."""
        return bool(self._others) or (self.latch is not None and self.latch.reason is Reason.TAKEOVER)

    @property
    def is_acknowledged(self) -> bool:
        """Whether commands reach a driver on every output."""
        return not self._unacknowledged

    def verdict(self, at_ns: int) -> Verdict | None:
        """Return what forbids motion at ``at_ns`` [ns, steady]; None: nothing."""
        return (
            self.latch
            or self._not_enabled(at_ns)
            or self._driver_not_ready()
            or self._not_heard()
            or self._not_returned()
        )

    @property
    def is_driver_ready(self) -> bool:
        """Whether no driver state says that the arm does not obey."""
        return self._driver_not_ready() is None

    @property
    def has_let_go(self) -> bool:
        """Whether a hold may follow the arm: it does not obey, and its measured motion is plausible."""
        is_elsewhere = self._is_lost and not self._implausible
        return not self.is_driver_ready or self.is_returning or is_elsewhere

    def _not_enabled(self, at_ns: int) -> Verdict | None:
        switch = self._robot.enable
        if switch is None:
            return None
        if self._enabled_ns is None:
            return Verdict(
                Mode.HOLDING, Reason.NOT_ENABLED, f"nothing came from the enable switch {switch.topic}"
            )
        age_s = (at_ns - self._enabled_ns) / 1e9
        if not self._is_enabled:
            return Verdict(Mode.HOLDING, Reason.NOT_ENABLED, f"the enable switch {switch.topic} is off")
        if age_s > switch.timeout_s:
            text = (
                f"the enable switch {switch.topic} is silent for {age_s:.2f} s, limit {switch.timeout_s:g} s"
            )
            return Verdict(Mode.HOLDING, Reason.NOT_ENABLED, text)
        return None

    def _driver_not_ready(self) -> Verdict | None:
        for state, value in zip(self._robot.driver_states, self._drivers, strict=True):
            if value in state.ready:
                continue
            found = "nothing" if value is None else f"{state.field} = {value}"
            text = f"the driver is not ready: {state.topic} says {found}, expected one of {list(state.ready)}"
            return Verdict(Mode.HOLDING, Reason.DRIVER_NOT_READY, text)
        return None

    def _not_heard(self) -> Verdict | None:
        if not self._unacknowledged:
            return None
        return Verdict(
            Mode.HOLDING, Reason.NOT_HEARD, f"commands reach nobody on {', '.join(self._unacknowledged)}"
        )

    def _not_returned(self) -> Verdict | None:
        if not self.is_returning:
            return None
        text = "the arm did not follow; the command returns to where it rests"
        return Verdict(Mode.HOLDING, Reason.FOLLOWING_ERROR, text)

    def note_command(self, positions: np.ndarray, at_ns: int) -> None:
        """Note commanded positions (d,) at ``at_ns`` [ns, steady]; NaN where unknown."""
        if not self._followed:
            return
        self._commanded.append((at_ns, positions[self._followed]))
        since_ns = at_ns - round(self._robot.lag_s * 1e9)
        # One older command stays: the arm may still be on its way from there.
        while len(self._commanded) > 1 and self._commanded[1][0] <= since_ns:
            self._commanded.popleft()

    def check_following(self, state: RobotState) -> None:
        """Latch a fault if successive samples are far from every command of the last ``lag_s``."""
        if not self._commanded or self.is_returning:
            return
        samples = [state.sampled(self._robot.dofs[index].name) for index in self._followed]
        if samples == self._checked:
            return
        window = np.array([positions for _, positions in self._commanded])
        low, high = window.min(axis=0), window.max(axis=0)
        for place, index in enumerate(self._followed):
            dof, sample = self._robot.dofs[index], samples[place]
            if sample is None or sample == self._checked[place] or math.isnan(low[place]):
                continue
            commanded = float(window[-1, place])
            measured = nearest(dof, sample[1], commanded)
            self._note_plausible(place, dof, sample)
            error = max(low[place] - measured, measured - high[place])
            if error <= following_limit(dof):
                self._exceeded[place] = 0
                self._implausible.discard(place)
                continue
            self._exceeded[place] += 1
            if self._exceeded[place] >= self._agreeing:
                self._is_lost = True
                self.fault(
                    Reason.FOLLOWING_ERROR,
                    f"{dof.name} does not follow: commanded to {commanded:.3f} {dof.unit}, measured at "
                    f"{sample[1]:.3f} {dof.unit}, {error:.3f} from every command of the last "
                    f"{self._robot.lag_s:g} s, limit {following_limit(dof):.3g}; find out why, then reset",
                )

    def _note_plausible(self, place: int, dof: Dof, sample: tuple[int, float]) -> None:
        before, self._checked[place] = self._checked[place], sample
        if before is None or dof.velocity is None:
            return
        moved = abs(nearest(dof, sample[1], before[1]) - before[1])
        possible = IMPLAUSIBLE * dof.velocity * abs(sample[0] - before[0]) / 1e9 + 0.1 * following_limit(dof)
        if moved > possible:
            self._implausible.add(place)
