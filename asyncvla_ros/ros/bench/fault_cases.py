"""All faults that are made, by name."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from asyncvla_ros.ros.bench.clock_cases import STEPS, set_clock
from asyncvla_ros.ros.bench.controller_cases import FREEZES_MS, freeze, restart
from asyncvla_ros.ros.bench.driver_cases import come_late, move_by_hand, restart_driver
from asyncvla_ros.ros.bench.estop_cases import stop_in_motion
from asyncvla_ros.ros.bench.fault_outcome import Outcome
from asyncvla_ros.ros.bench.fault_rig import Rig, RigKind
from asyncvla_ros.ros.bench.missing_cases import FAULTS, SIM_FAULTS, Fault, live_through
from asyncvla_ros.ros.bench.takeover_cases import LOOK_S, add_publisher
from asyncvla_ros.ros.bench.task_cases import cancel_task

PLAIN, SIMULATED = RigKind(), RigKind(use_sim_time=True)
STEPPED, DRIVEN = RigKind(is_stepped=True), RigKind(is_driven=True)

Make = Callable[[Rig, int, float], Outcome]
"""Makes a fault for the time of that number, with so much slack beside each limit [s], and ends it."""


@dataclass(frozen=True)
class FaultCase:
    """One kind of fault.

    Attributes:
        kind: The rig that it needs.
        make: Makes it and ends it.
        limit_s: How long after it a hold may begin, with so much slack [s]; None: nobody can hold.
    """

    kind: RigKind
    make: Make
    limit_s: Callable[[Rig, float], float | None]


def _within_slack(rig: Rig, slack_s: float) -> float | None:
    return slack_s


def _never(rig: Rig, slack_s: float) -> float | None:
    return None


def _missing(fault: Fault, kind: RigKind) -> FaultCase:
    return FaultCase(
        kind, partial(live_through, fault=fault), lambda rig, slack_s: fault.timeout_s(rig) + slack_s
    )


CASES: dict[str, FaultCase] = {
    **{name: _missing(fault, PLAIN) for name, fault in FAULTS.items()},
    "controller_killed": FaultCase(PLAIN, partial(restart, ending=signal.SIGKILL), _never),
    "controller_stopped": FaultCase(PLAIN, partial(restart, ending=signal.SIGINT), _within_slack),
    **{name: _missing(fault, SIMULATED) for name, fault in SIM_FAULTS.items()},
    **{
        name: FaultCase(STEPPED, partial(set_clock, by_s=by_s, reasons=reasons), _within_slack)
        for name, (by_s, reasons) in STEPS.items()
    },
    **{
        f"controller_frozen_{freeze_ms}": FaultCase(DRIVEN, partial(freeze, freeze_ms=freeze_ms), _never)
        for freeze_ms in FREEZES_MS
    },
    "estop": FaultCase(DRIVEN, stop_in_motion, _within_slack),
    "drives_off_moved_by_hand": FaultCase(DRIVEN, move_by_hand, _within_slack),
    "driver_restarted": FaultCase(DRIVEN, restart_driver, _never),
    "driver_late": FaultCase(DRIVEN, come_late, _never),
    "second_controller": FaultCase(DRIVEN, add_publisher, lambda rig, slack_s: LOOK_S + slack_s),
    "task_canceled": FaultCase(DRIVEN, cancel_task, _within_slack),
}
