"""A motion at its limits, and a robot that has them, for what judges drivers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from asyncvla_ros.bench.safety_audit import DriverAudit
from asyncvla_ros.robot.contract import Dof, Output, RobotContract

MS = 1_000_000
P = 20 * MS
T0 = 3_456_789_012_345
V, A, J = 3.0, 3.14, 31.0


def robot(*dofs: Dof, **changes: Any) -> RobotContract:
    """Commands at 50 Hz, actions at 20 Hz."""
    names = tuple(dof.name for dof in dofs)
    given: dict[str, Any] = {
        "name": "test",
        "action_hz": 20.0,
        "base_frame": "base",
        "cameras": (),
        "state": (),
        "action_space": "joint_position",
        "dofs": dofs,
        "outputs": (Output("action_command", "~/command", names, names),),
        "chunk_timeout_s": 0.5,
        "observation_timeout_s": 0.2,
        "command_hz": 50.0,
    }
    return RobotContract(**{**given, **changes})


def joint(name: str = "joint", **changes: Any) -> Dof:
    """Limited to 3 rad/s, 3.14 rad/s² and 31 rad/s³."""
    given: dict[str, Any] = {"is_delta": False, "minimum": -9.0, "maximum": 9.0}
    given |= {"velocity": V, "acceleration": A, "jerk": J}
    return Dof(name=name, unit="rad", scale=1.0, **{**given, **changes})


def output(adapter: str, *names: str, **changes: Any) -> Output:
    """Of the dof ``joint``, unless others are named."""
    return Output(adapter, "topic", names or ("joint",), names or ("joint",), **changes)


def audit(adapter: str, dof: Dof | None = None, **changes: Any) -> DriverAudit:
    """Of one dof."""
    return DriverAudit(robot(dof or joint()), output(adapter), **changes)


def seen(one: DriverAudit) -> dict[str, int]:
    """Kinds of violations that were counted."""
    return {kind: count for kind, count in one.metrics()["violations"].items() if count}


@dataclass(frozen=True)
class Motion:
    """From rest at 0 to rest, by phases of constant jerk.

    Attributes:
        phases: Duration [s] and jerk [rad/s³] of each.
        begin_ns: [ns].
    """

    phases: tuple[tuple[float, float], ...]
    begin_ns: int = T0

    @cached_property
    def knots(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(k,) times [s], (k, 3) states at them, (k,) jerks from them on."""
        states, times = [np.zeros(3)], [0.0]
        for duration, jerk in self.phases:
            times.append(times[-1] + duration)
            states.append(_moved(states[-1], duration, jerk))
        return np.array(times), np.array(states), np.array([*(jerk for _, jerk in self.phases), 0.0])

    def states(self, times_ns: np.ndarray) -> np.ndarray:
        """(m, 3) position, velocity and acceleration at (m,) times."""
        times, states, jerks = self.knots
        t = (np.asarray(times_ns) - self.begin_ns) / 1e9
        index = np.clip(np.searchsorted(times, t, side="right") - 1, 0, None)
        moved = _moved(states[index].T, np.maximum(t, 0) - times[index], jerks[index]).T
        moved[index == len(times) - 1] = [states[-1, 0], 0, 0]
        return moved

    @property
    def ends_ns(self) -> list[int]:
        """When each phase ends, as a stamp can say it."""
        return [self.begin_ns + round(time * 1e9) for time in self.knots[0]]


def _moved(state: np.ndarray, t: Any, jerk: Any) -> np.ndarray:
    p, v, a = state
    return np.array([p + t * (v + t * (a / 2 + t * jerk / 6)), v + t * (a + t * jerk / 2), a + t * jerk])


# At every limit: up to 3 rad/s with 3.14 rad/s² and 31 rad/s³, on for a while, and back to rest.
RISE, CRUISE = A / J, V / A - A / J
FULL = Motion(((RISE, J), (CRUISE, 0), (RISE, -J), (0.3, 0), (RISE, -J), (CRUISE, 0), (RISE, J)))
TIMES = T0 + np.arange(0, 2_800 * MS, P)
# Ticks that are late by up to 5 ms.
LATE = TIMES + np.random.default_rng(0).integers(0, 5 * MS, len(TIMES))


def at_limits(one: DriverAudit) -> None:
    """Check that something happened: an arm that never moves breaks no limit."""
    assert min(one.metrics()["largest_share_of_limit"].values()) > 0.98


def sent(
    ticks: np.ndarray,
    values: np.ndarray,
    adapter: str = "forward_position",
    dof: Dof | None = None,
    **changes: Any,
) -> DriverAudit:
    """After one dof was sent (m,) ``values`` at (m,) ``ticks``, from rest at 0."""
    one = audit(adapter, dof, **changes)
    one.begin(int(ticks[0]), np.zeros(1))
    for now, value in zip(ticks, values, strict=True):
        one.add(int(now), np.array([value]))
    return one


def gap_at(index: int, ms: int) -> np.ndarray:
    """Ticks of which one is late by so much, in motion."""
    return np.where(np.arange(len(LATE)) >= index, LATE + ms * MS, LATE)
