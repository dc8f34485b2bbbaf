"""``asyncvla bench faults``: what the arm does when something else dies, freezes or goes wrong."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from itertools import groupby
from typing import Any

import numpy as np

from asyncvla_ros.common.stalls import StallWatcher
from asyncvla_ros.ros.bench.demand_judge import merged
from asyncvla_ros.ros.bench.fault_cases import CASES, FaultCase
from asyncvla_ros.ros.bench.fault_outcome import Outcome, summary
from asyncvla_ros.ros.bench.fault_rig import ARM, Rig, running_rig
from asyncvla_ros.ros.bench.settings import FaultSettings
from asyncvla_ros.ros.domain import isolated_domain
from asyncvla_ros.ros.middleware import fastdds_environment, udp_environment
from asyncvla_ros.types import RunError

# Beside each timeout a command may be one period late, and as long on its way.
SLACK_PERIODS = 2
# A machine that keeps a process that hardly runs waiting for longer than this [s] takes what slack is for.
STALL_S = 0.005
# Of the faults of a case that were failed while the machine stood still so many are made again, and a tenth.
MADE_AGAIN = 3

Say = Callable[[str], None]


def bench_faults(settings: FaultSettings, say: Say = lambda line: None) -> dict[str, Any]:
    """Make each fault in a running graph, in the middle of a motion, and end it again.

    Args:
        settings: How often, and which.
        say: Gets a line for each fault made.

    Returns:
        For each case: ``n``, ``passed``, ``problems``; ``stalled``, failed while the machine itself stood
        still, and made again; p50, p95, p99 and max of ``held_ms``, ``standstill_ms``, ``recovered_ms`` and
        other times; ``limit_ms`` of a hold by design; ``margin_ms``, the least that was left of what was
        permitted that time; the largest ``pose_error_rad``. And ``driver``, what drivers demanded in all by
        model; ``settings``, ``arm``.

    Raises:
        AsyncVLAError: there is no such case.
        RunError: a node failed by itself.
    """
    rng = np.random.default_rng(settings.seed)
    metrics: dict[str, Any] = {}
    driver: dict[str, Any] = {}
    with _environment() as images, StallWatcher() as watcher:
        for kind, names in groupby(settings.cases, key=lambda name: CASES[name].kind):
            left = list(names)
            while left:
                # After a fault that the graph did not survive, the next case gets another one.
                with running_rig(rng, images, kind) as rig:
                    is_alive = True
                    while left and is_alive:
                        name = left.pop(0)
                        repeats = Repeats(name, CASES[name], settings, watcher, say=say)
                        metrics[name], is_alive = repeats.make(rig)
                    driver = merged(driver, rig.metrics())
    return {**metrics, "driver": driver, "settings": asdict(settings), "arm": ARM}


@contextmanager
def _environment() -> Iterator[Mapping[str, str]]:
    """Set the variables of all processes; yield those of the processes that handle images."""
    with isolated_domain() as isolation:
        os.environ.update(isolation)
        images = {**isolation, **fastdds_environment(processes=2)}
        os.environ.update(udp_environment())
        yield images


class Repeats:
    """One case as often as it is to be made.

    Args:
        name: Of the case.
        case: What is made.
        settings: How often.
        watcher: Knows when the machine stood still.
        say: Gets a line for each fault made.
    """

    def __init__(self, name: str, case: FaultCase, settings: FaultSettings, watcher: StallWatcher, say: Say):
        self._name, self._case, self._watcher, self._say = name, case, watcher, say
        self._times, self._grace_s = settings.times(name), settings.grace_s
        self._stalled = 0

    def make(self, rig: Rig) -> tuple[dict[str, Any], bool]:
        """Repeat the case; return its metrics and whether the rig is still usable."""
        period_s = rig.robot.command_period_ns / 1e9
        slack_s = SLACK_PERIODS * period_s + self._grace_s
        outcomes: list[Outcome] = []
        is_alive = True
        while is_alive and len(outcomes) < self._times:
            begin_ns = time.monotonic_ns()
            try:
                outcome = self._case.make(rig, len(outcomes) + 1, slack_s)
            except RunError as error:
                is_alive, outcome = False, Outcome([str(error).splitlines()[0]], None)
                self._say(str(error))
            stall_ms = self._longest_stall_ms(begin_ns) if outcome.problems else 0.0
            is_stalled = is_alive and stall_ms > 1e3 * (STALL_S + self._grace_s)
            if is_stalled and self._stalled < MADE_AGAIN + self._times // 10:
                self._stalled += 1
                self._report(f"again, for the machine stood still for {stall_ms:.0f} ms", outcome)
                continue
            outcomes.append(outcome)
            self._report(f"{len(outcomes)}/{self._times}", outcome)
        return summary(outcomes, self._case.limit_s(rig, slack_s), self._stalled), is_alive

    def _longest_stall_ms(self, begin_ns: int) -> float:
        """Return the longest stall of the machine since ``begin_ns`` [ns, steady] in [ms]."""
        stalls = self._watcher.stalls_between(begin_ns, time.monotonic_ns())
        return max((stall.duration_ns for stall in stalls), default=0) / 1e6

    def _report(self, which: str, outcome: Outcome) -> None:
        parts = []
        if outcome.held_ms is not None:
            parts.append(f"held after {outcome.held_ms:.0f} ms")
        if outcome.recovered_ms is not None:
            parts.append(f"moved again after {outcome.recovered_ms:.0f} ms")
        self._say(
            f"{self._name} {which}: {', '.join(parts)}{''.join(f'; {one}' for one in outcome.problems)}"
        )
