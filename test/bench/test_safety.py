from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from asyncvla_ros.bench import safety as bench
from asyncvla_ros.bench.safety import SafetyCase, bench_safety, cases, is_clean, run_case
from asyncvla_ros.bench.safety_contracts import contracts, held_arm, joint_arm, pose_arm, velocity_arm
from asyncvla_ros.cli.bench import bench_app
from asyncvla_ros.control.controller import Controller
from asyncvla_ros.control.workspace import Workspace
from asyncvla_ros.types import AsyncVLAError, RunError
from support.contracts import shipped_robot

CONTRACTS = {robot.name: robot for robot in contracts()}


@pytest.mark.parametrize("name", CONTRACTS)
def test_drivers_of_every_contract_demand_what_is_permitted(name):
    commands = 0
    for case in cases(320, 3, [CONTRACTS[name]]):
        metrics = run_case(case)
        assert not any(metrics["violations"].values()), (case.arm, metrics["violations"])
        assert not metrics["exceptions"]
        commands += metrics["commands"]
    assert commands > 320


def test_every_shipped_contract_is_checked_and_what_is_used_is_used_up():
    assert {"franka_fr3", "gazebo_arm", "libero_panda", "so101", "ur5e", "widowx_250", "xarm7"} <= set(
        CONTRACTS
    )
    metrics = bench_safety(400, 1, robots=[shipped_robot("gazebo_arm")])
    assert is_clean(metrics)
    arm = metrics["arms"]["gazebo_arm"]
    assert set(arm["periods_by_mode"]) >= {"IDLE", "TRACKING", "HOLDING", "ESTOP"} and arm["restarts"]
    assert metrics["driver"].keys() == {
        "trajectory_from_desired",
        "trajectory_from_measured",
        "forward_position",
    }
    for driver in metrics["driver"].values():
        assert driver["samples"] > 400 and driver["jump_rad_max"] == 0
    planner = metrics["planner"]["gazebo_arm"]
    assert planner["commands"] == 400 and planner["exceptions"] == 0
    shares = metrics["driver"]["trajectory_from_desired"]["largest_share_of_limit"]
    assert shares["acceleration"] > 0.99, "an arm that stands keeps limits too"


@pytest.mark.parametrize("seed", [0, 5])
def test_the_same_seed_sends_the_same(seed):
    robots = [joint_arm(), pose_arm()]
    first, second = bench_safety(60, seed, robots=robots), bench_safety(60, seed, robots=robots)
    for metrics in (first, second):
        for arm in metrics["arms"].values():
            del arm["wall_s"], arm["cpu_s"]
    assert first == second


def test_an_arm_that_lags_comes_late_to_where_a_late_timer_led_it():
    late = SafetyCase(velocity_arm(), "restarts", 289, 40)
    assert not any(run_case(late)["violations"].values())


def test_a_controller_that_forgets_where_the_arm_is_leaves_the_workspace(monkeypatch):
    monkeypatch.setattr(Workspace, "positions", lambda *_: (np.zeros(3), np.zeros(3)))
    for arm in ("lag", "restarts"):
        assert run_case(SafetyCase(velocity_arm(), arm, 289, 40))["violations"]["workspace"]


class _Spoiled(Controller):
    """Every 50th command is changed after all checks."""

    spoil = staticmethod(lambda values: values)
    count = 0

    def update(self, now_ns, at_ns):
        command = super().update(now_ns, at_ns)
        if command.values is None:
            return command
        self.count += 1
        return replace(command, values=self.spoil(command.values)) if self.count % 50 == 0 else command


@pytest.mark.parametrize(
    ("kinds", "spoil"),
    [
        ({"nonfinite"}, lambda values: np.full_like(values, np.inf)),
        ({"position", "velocity", "acceleration", "jerk"}, lambda values: values + 1e3),
        ({"jerk"}, lambda values: values + 1e-4),
    ],
)
def test_a_controller_that_breaks_a_limit_is_caught(kinds, spoil):
    controller = type("Spoiled", (_Spoiled,), {"spoil": staticmethod(spoil)})
    metrics = bench_safety(240, 0, controller, robots=[held_arm()])
    assert not is_clean(metrics)
    assert kinds <= {kind for kind, count in metrics["violations"].items() if count}


class _NominalTime(Controller):
    """Moves on by a period per call, whatever time has passed."""

    calls = 10**12

    def update(self, now_ns, at_ns):
        self.calls += self._robot.command_period_ns
        command = super().update(now_ns, self.calls)
        late_ns = at_ns - self.calls
        paths = tuple(path and _shifted(path, late_ns) for path in command.paths)
        return replace(command, at_ns=at_ns, paths=paths)


def _shifted(path, late_ns):
    shifted = type(path)(path.start_ns + late_ns, path.at(path.start_ns), path.phases)
    return shifted


@pytest.mark.parametrize("robot", ["gazebo_arm", "held_arm"])
def test_nominal_time_is_caught(robot):
    metrics = run_case(SafetyCase(CONTRACTS[robot], "ideal", 300, 0), _NominalTime)
    assert metrics["violations"]["acceleration"] and metrics["violations"]["jerk"]


def test_exceptions_are_counted():
    class Broken(Controller):
        def update(self, now_ns, at_ns):
            raise ZeroDivisionError("by design")

    metrics = bench_safety(10, 0, Broken, robots=[held_arm()])
    assert metrics["exceptions"] and not is_clean(metrics)
    assert list(metrics["exception_texts"]) == ["ZeroDivisionError: by design"]


def test_command_line(tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "contracts", lambda: (held_arm(), pose_arm()))
    out = tmp_path / "safety.json"
    arguments = ["safety", "--chunks", "40", "--processes", "1"]
    result = CliRunner().invoke(bench_app, [*arguments, "--json", str(out)])
    assert result.exit_code == 0, result.output
    metrics = json.loads(out.read_text())
    assert metrics.keys() >= {"chunks", "commands", "violations", "exceptions", "seed", "versions", "machine"}
    assert metrics["driver"]["pose"]["violations"].keys() == metrics["violations"].keys()
    assert metrics["versions"]["ruckig"]
    spoiled = type("Spoiled", (_Spoiled,), {"spoil": staticmethod(lambda values: values + 9)})
    monkeypatch.setattr(bench.run_case, "__defaults__", (spoiled,))
    monkeypatch.setattr(bench.bench_safety, "__defaults__", (spoiled, 1, None))
    result = CliRunner().invoke(bench_app, ["safety", "--chunks", "300", "--processes", "1"])
    assert isinstance(result.exception, RunError) and "position" in str(result.exception)


def test_too_few_chunks():
    with pytest.raises(AsyncVLAError, match="expected at least 9: one for each arm"):
        bench_safety(1, 0, robots=[held_arm()])
