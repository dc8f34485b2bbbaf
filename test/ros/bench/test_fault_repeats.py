"""A fault is made again only if it failed while the machine stood still, and only a few times."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from asyncvla_ros.common.stalls import Stall
from asyncvla_ros.ros.bench.fault_cases import PLAIN, FaultCase
from asyncvla_ros.ros.bench.fault_outcome import Outcome, summary
from asyncvla_ros.ros.bench.faults import MADE_AGAIN, FaultSettings, Repeats
from asyncvla_ros.types import RunError

pytestmark = pytest.mark.ros

MS = 1_000_000
RIG: Any = SimpleNamespace(robot=SimpleNamespace(command_period_ns=10 * MS))
GOOD, BAD = (
    Outcome([], 20.0, held_ms=5.0, limit_ms=20.0),
    Outcome(["late"], 30.0, held_ms=25.0, limit_ms=20.0),
)


@dataclass
class Script:
    """Outcomes that come one after the other, and how long the machine stood still meanwhile [ms]."""

    steps: list[tuple[Outcome | RunError, float]]
    numbers: list[int] = field(default_factory=list)
    slacks: list[float] = field(default_factory=list)
    stall_ms: float = 0.0

    def make(self, rig: Any, number: int, slack_s: float) -> Outcome:
        outcome, self.stall_ms = self.steps.pop(0)
        self.numbers.append(number)
        self.slacks.append(slack_s)
        if isinstance(outcome, RunError):
            raise outcome
        return outcome

    def stalls_between(self, begin_ns: int, end_ns: int) -> tuple[Stall, ...]:
        return (Stall(begin_ns, round(self.stall_ms * MS)),)


def run(script: Script, times: int, **settings: Any) -> tuple[dict[str, Any], bool, list[str]]:
    case = FaultCase(PLAIN, script.make, lambda rig, slack_s: slack_s)
    said: list[str] = []
    watcher: Any = script
    repeats = Repeats("estop", case, FaultSettings(estops=times, **settings), watcher, said.append)
    metrics, is_alive = repeats.make(RIG)
    return metrics, is_alive, said


def test_a_fault_that_fails_during_a_stall_is_made_again_and_counted():
    script = Script([(GOOD, 50.0), (BAD, 6.0), (GOOD, 0.0)])
    metrics, is_alive, said = run(script, 2)
    assert (metrics["n"], metrics["passed"], metrics["stalled"], is_alive) == (2, 2, 1, True)
    assert metrics["held_ms"]["max"] == 5.0, "what was made again is in no figure"
    assert script.numbers == [1, 2, 2] and script.slacks == [0.02] * 3
    assert said[1].startswith("estop again, for the machine stood still for 6 ms: held after 25 ms, ")


def test_a_short_stall_excuses_nothing():
    metrics, _, _ = run(Script([(BAD, 5.0)]), 1)
    assert (metrics["n"], metrics["passed"], metrics["stalled"], metrics["problems"]) == (1, 0, 0, ["late"])
    # Where more is permitted, the stall must be longer.
    metrics, _, _ = run(Script([(BAD, 100.0)]), 1, grace_s=0.1)
    assert (metrics["n"], metrics["stalled"]) == (1, 0)


@pytest.mark.parametrize(("times", "again"), [(1, MADE_AGAIN), (20, MADE_AGAIN + 2)])
def test_a_machine_that_stalls_on_and_on_fails(times, again):
    script = Script([(BAD, 50.0)] * (times + again))
    metrics, _, _ = run(script, times)
    assert (metrics["n"], metrics["passed"], metrics["stalled"]) == (times, 0, again)
    assert not script.steps


def test_a_graph_that_does_not_move_again_ends_the_case_and_is_not_used_again():
    script = Script([(GOOD, 0.0), (RunError("no motion within 60 s\n--- log"), 50.0), (GOOD, 0.0)])
    metrics, is_alive, said = run(script, 3)
    assert not is_alive and (metrics["n"], metrics["passed"], metrics["stalled"]) == (2, 1, 0)
    assert metrics["problems"] == ["no motion within 60 s"] and "--- log" in said[1]


def test_a_summary_has_the_spread_of_what_was_measured_and_nothing_else():
    outcomes = [
        Outcome([], 10.0, 5.0, 20.0, 100.0, 1e-6, {"answer": 4.0}),
        Outcome(["late"], 30.0, 25.0, 20.0, 300.0, 3e-6, {"answer": 8.0}),
    ]
    metrics = summary(outcomes, 0.02, stalled=2)
    assert (metrics["n"], metrics["passed"], metrics["stalled"]) == (2, 1, 2)
    assert (metrics["limit_ms"], metrics["margin_ms"], metrics["pose_error_rad"]) == (20.0, -5.0, 3e-6)
    maxima = [metrics[f"{key}_ms"]["max"] for key in ("held", "standstill", "recovered", "answer")]
    assert maxima == [25.0, 300.0, 30.0, 8.0]
    bare = summary([Outcome([], None)], None)
    assert all(bare[key] is None for key in ("held_ms", "limit_ms", "margin_ms", "standstill_ms"))
    assert bare["recovered_ms"] is None and bare["pose_error_rad"] is None and bare["passed"] == 1
