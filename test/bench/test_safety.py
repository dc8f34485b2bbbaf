from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from typer.testing import CliRunner

from asyncvla_ros.bench import safety as bench
from asyncvla_ros.bench.safety import bench_safety, delta_arm, is_clean, joint_arm
from asyncvla_ros.bench.safety_audit import Audit
from asyncvla_ros.cli.bench import bench_app
from asyncvla_ros.control.controller import Controller
from asyncvla_ros.types import AsyncVLAError, RunError


def test_the_controller_keeps_every_limit():
    figures = bench_safety(600, seed=3)
    assert is_clean(figures), (figures["violations"], figures["exception_texts"])
    assert sum(arm["restarts"] for arm in figures["arms"].values())
    for arm in figures["arms"].values():
        assert arm["chunks"] == 300 and arm["commands"] > 300
        assert set(arm["periods_by_mode"]) >= {"TRACKING", "HOLDING", "ESTOP"}
        assert arm["largest_share_of_limit"]["acceleration"] > 0.99, "an arm that stands keeps limits too"


@pytest.mark.parametrize("seed", [0, 5])
def test_the_same_seed_sends_the_same(seed):
    first, second = bench_safety(40, seed), bench_safety(40, seed)
    for figures in (first, second):
        for arm in figures["arms"].values():
            del arm["wall_s"], arm["cpu_s"]
    assert first == second


class _Spoiled(Controller):
    """Every 50th command is changed after all checks."""

    spoil = staticmethod(lambda values: values)
    count = 0

    def update(self, now_ns, elapsed_ns=None):
        command = super().update(now_ns, elapsed_ns)
        if command.values is None:
            return command
        self.count += 1
        return replace(command, values=self.spoil(command.values)) if self.count % 50 == 0 else command


@pytest.mark.parametrize(
    ("kinds", "spoil"),
    [
        ({"nonfinite"}, lambda values: np.full_like(values, np.nan)),
        ({"position", "velocity", "acceleration", "jerk"}, lambda values: values + 1e3),
        ({"jerk"}, lambda values: values + 1e-5),
        ({"workspace"}, lambda values: values + 0.5),
    ],
)
def test_a_controller_that_breaks_a_limit_is_caught(kinds, spoil):
    controller = type("Spoiled", (_Spoiled,), {"spoil": staticmethod(spoil)})
    figures = bench_safety(400, 0, controller)
    assert not is_clean(figures)
    assert kinds <= {kind for kind, count in figures["violations"].items() if count}


def test_exceptions_are_counted():
    class Broken(Controller):
        def update(self, now_ns, elapsed_ns=None):
            raise ZeroDivisionError("by design")

    figures = bench_safety(10, 0, Broken)
    assert figures["exceptions"] and not is_clean(figures)
    assert list(figures["exception_texts"]) == ["ZeroDivisionError: by design"]


def _audited(robot, path: np.ndarray) -> dict[str, int]:
    audit = Audit(robot)
    audit.begin(path[0])
    for before, after in pairwise(path):
        audit.add(after, before, after, robot.period_ns)
    audit.finish()
    assert audit.commands == len(path) - 1
    return {kind: count for kind, count in audit.violations.items() if count}


@pytest.mark.parametrize(("order", "kind"), [(1, "velocity"), (2, "acceleration"), (3, "jerk")])
def test_each_derivative_is_checked_against_its_own_limit(order, kind):
    robot = joint_arm()
    middle = np.array([(dof.minimum + dof.maximum) / 2 for dof in robot.dofs])
    dof, period_s = robot.dofs[3], robot.period_ns / 1e9
    limit = getattr(dof, kind)
    path = np.tile(middle, (5, 1))
    assert _audited(robot, path) == {}
    # A polynomial whose derivative of this order is beyond the limit, and none that is checked before it.
    steps = np.arange(5)
    loose = replace(dof, velocity=None, acceleration=None, jerk=None)
    robot = replace(robot, dofs=tuple(replace(loose, **{kind: limit}) if d is dof else d for d in robot.dofs))
    path[:, 3] += 1.001 * limit * (steps * period_s) ** order / np.prod(range(1, order + 1))
    assert set(_audited(robot, path)) == {kind}


def test_limits_of_changes_are_rates_and_a_workspace():
    robot = delta_arm()
    audit = Audit(robot)
    audit.begin(np.zeros(6))
    for _ in range(3):
        audit.add(np.full(6, 0.04), np.full(6, 0.0), np.full(6, 0.04), robot.period_ns)
    audit.add(np.zeros(6), np.full(6, 0.3), np.full(6, 0.29), robot.period_ns)
    audit.add(np.zeros(6), np.full(6, 0.3), np.full(6, 0.31), robot.period_ns)
    audit.finish()
    assert audit.violations["velocity"] == 6, "dy and dz at 0.8 m/s, three times"
    assert audit.violations["workspace"] == 3, "outwards from outside"
    assert audit.violations["acceleration"] and audit.violations["jerk"]


def test_command_line(tmp_path, monkeypatch):
    out = tmp_path / "safety.json"
    result = CliRunner().invoke(bench_app, ["safety", "--chunks", "20", "--json", str(out)])
    assert result.exit_code == 0, result.output
    figures = json.loads(out.read_text())
    assert figures.keys() >= {"chunks", "commands", "violations", "exceptions", "seed", "versions", "machine"}
    assert figures["versions"]["ruckig"]
    spoiled = type("Spoiled", (_Spoiled,), {"spoil": staticmethod(lambda values: values + 9)})
    monkeypatch.setattr(bench, "Controller", spoiled)
    monkeypatch.setattr(bench.bench_safety, "__defaults__", (spoiled,))
    result = CliRunner().invoke(bench_app, ["safety", "--chunks", "300"])
    assert isinstance(result.exception, RunError) and "position" in str(result.exception)


def test_too_few_chunks():
    with pytest.raises(AsyncVLAError, match="expected at least 2"):
        bench_safety(1, 0)
