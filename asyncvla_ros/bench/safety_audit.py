"""Counts limit violations in recorded commands: numpy over samples, none of the controller's own code."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from asyncvla_ros.robot.contract import RobotContract

KINDS = ("position", "velocity", "acceleration", "jerk", "workspace", "nonfinite")
DERIVATIVES = ("velocity", "acceleration", "jerk")
TOLERANCE = 1e-6
# A third difference needs so many samples before its own.
CONTEXT = 3
BLOCK = 20_000


@dataclass(frozen=True)
class Record:
    """One command as it was sent.

    Attributes:
        values: (d,) the command; while the arm still stands before a first command, what was measured.
        before: (d,) true position of each dof before the command [unit].
        after: (d,) true position after it [unit].
        is_sent: Whether it was sent, rather than measured.
        elapsed_s: Time since the command before [s], at most a period: what is late is not caught up.
    """

    values: np.ndarray
    before: np.ndarray
    after: np.ndarray
    is_sent: bool
    elapsed_s: float


@dataclass
class Audit:
    """Divided differences of consecutive commands against the limits of a contract, in blocks.

    ::

        targets   x ──Δ/T──> velocity ──Δ/T──> acceleration ──Δ/T──> jerk
        changes   x / T  =   velocity ──Δ/T──> acceleration ──Δ/T──> jerk

    T is the mean of the intervals that a difference spans.

    Attributes:
        robot: Whose limits count; a dof without a limit is not checked for it.
        violations: How often a value of a dof was beyond a limit by more than ``TOLERANCE``.
        peaks: Largest share of a limit that was used.
        commands: Commands checked.
    """

    robot: RobotContract
    violations: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    peaks: dict[str, float] = field(default_factory=lambda: dict.fromkeys(DERIVATIVES, 0.0))
    commands: int = 0
    _block: list[Record] = field(default_factory=list)
    _unchecked: int = 0

    def begin(self, measured: np.ndarray) -> None:
        """A new stream of commands: before it the arm stood where it was measured, (d,).

        What is not measured stood where its first command says; what holds its command, inside its range.
        """
        self.finish()
        standing = measured.copy()
        for index, dof in enumerate(self.robot.dofs):
            if dof.is_delta:
                standing[index] = 0.0
            elif dof.holds_command and dof.name in self.robot.state_names:
                standing[index] = np.clip(measured[index], dof.minimum, dof.maximum)
            elif dof.holds_command:
                standing[index] = np.nan
        self._block = [Record(standing, measured, measured, False, self.robot.period_ns / 1e9)] * CONTEXT

    def add(self, values: np.ndarray, before: np.ndarray, after: np.ndarray, elapsed_ns: int) -> None:
        """A command (d,), true positions (d,) before and after it, and the time since the one before [ns]."""
        for record in self._block[-CONTEXT:]:
            if not record.is_sent:
                np.copyto(record.values, values, where=np.isnan(record.values))
        elapsed_s = min(elapsed_ns, self.robot.period_ns) / 1e9
        self._block.append(Record(values, before, after, True, elapsed_s))
        self.commands += 1
        self._unchecked += 1
        if self._unchecked >= BLOCK:
            self.finish()

    def finish(self) -> None:
        """Checks what has not been checked yet; the last samples stay as context of the next block."""
        if self._unchecked and self._block:
            new = slice(len(self._block) - self._unchecked, None)
            values = np.array([record.values for record in self._block], np.float64)
            sent = np.array([record.is_sent for record in self._block])
            with np.errstate(invalid="ignore", over="ignore"):
                self._check_values(values[new], sent[new])
                self._check_derivatives(values, np.array([r.elapsed_s for r in self._block]), self._unchecked)
                self._check_workspace(self._block[new])
        self._block = self._block[-CONTEXT:]
        self._unchecked = 0

    def _check_values(self, values: np.ndarray, sent: np.ndarray) -> None:
        minimum = np.array([dof.minimum for dof in self.robot.dofs])
        maximum = np.array([dof.maximum for dof in self.robot.dofs])
        beyond = (values < minimum - TOLERANCE) | (values > maximum + TOLERANCE)
        self.violations["position"] += int((beyond & sent[:, None]).sum())
        self.violations["nonfinite"] += int((~np.isfinite(values)).sum())

    def _check_derivatives(self, values: np.ndarray, elapsed_s: np.ndarray, new: int) -> None:
        period_s = self.robot.period_ns / 1e9
        for index, dof in enumerate(self.robot.dofs):
            derivative = values[:, index]
            for order, name in enumerate(DERIVATIVES, start=1):
                if dof.is_delta and order == 1:
                    derivative = derivative / period_s
                else:
                    spans = np.convolve(elapsed_s, np.ones(order), "valid")[-(len(derivative) - 1) :]
                    derivative = order * np.diff(derivative) / spans
                limit = getattr(dof, name)
                if limit is None:
                    continue
                used = np.abs(derivative[-new:])
                # Not "beyond": a value that is no number is a violation too.
                self.violations[name] += int((~(used <= limit + TOLERANCE)).sum())
                self.peaks[name] = max(self.peaks[name], float(np.nanmax(used)) / limit)

    def _check_workspace(self, records: list[Record]) -> None:
        before = np.array([record.before for record in records])
        after = np.array([record.after for record in records])
        for index, dof in enumerate(self.robot.dofs):
            if dof.workspace is None:
                continue
            # From outside, only farther out is a violation.
            low = np.minimum(dof.workspace.minimum, before[:, index]) - TOLERANCE
            high = np.maximum(dof.workspace.maximum, before[:, index]) + TOLERANCE
            inside = (low <= after[:, index]) & (after[:, index] <= high)
            self.violations["workspace"] += int((~inside).sum())
