"""What trajectories make a driver demand, and what of it is too fast, too late or a jump."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from asyncvla_ros.control.motion import MotionState, Path, stop_phases
from asyncvla_ros.robot.contract_file import load_robot
from asyncvla_ros.ros.bench.arm import JOINTS, STOP, write_driven_contract
from asyncvla_ros.ros.bench.arm_driver import LoggedDriver
from asyncvla_ros.ros.bench.demand import GRID_NS, ReceivedTrajectory, demand_between, received, state_at
from asyncvla_ros.ros.bench.demand_judge import KEPT, DemandJudge, merged
from asyncvla_ros.ros.bench.fault_problems import permitted_speeds, rise_problems
from asyncvla_ros.ros.conversions import to_duration, to_time

pytestmark = pytest.mark.ros

MS = 1_000_000
# System time of the beginning; it is ahead of steady time by as much as of 1 s.
BEGIN_NS, OFFSET_NS = 1_800_000_000_000_000_000, 1_799_999_999_000_000_000
PERIOD_NS = 20 * MS
# Rest, then as fast as may be to 0.5 rad/s, then as fast to rest.
SPEED, JERK = 0.5, 80.0
RISE_S = float(np.sqrt(SPEED / JERK))
WAY = [(RISE_S, JERK), (RISE_S, -JERK), (0.3, 0.0), (RISE_S, -JERK), (RISE_S, JERK)]


def path(begin_ms: float = 0.0, phases: list[tuple[float, float]] = WAY, position: float = 0.1) -> Path:
    return Path(BEGIN_NS + round(begin_ms * MS), MotionState(position, 0.0, 0.0), phases)


def sent(way: Path, at_ms: float) -> JointTrajectory:
    """Make a path from ``at_ms`` on as the controller sends it: a point wherever its jerk changes."""
    at_ns = BEGIN_NS + round(at_ms * MS)
    times = [at_ns, *(knot for knot in way.knots_ns if knot > at_ns), max(way.end_ns, at_ns) + 1000 * MS]
    message = JointTrajectory(joint_names=list(JOINTS))
    message.header.stamp = to_time(at_ns)
    for time_ns in times:
        position, velocity, acceleration = (np.full(6, value) for value in way.at(time_ns))
        point = JointTrajectoryPoint(positions=position, velocities=velocity, accelerations=acceleration)
        point.time_from_start = to_duration(time_ns - at_ns)
        message.points.append(point)
    return message


def log(way: Path, at_ms: list[float], delay_ms: float = 2.0) -> list[JointTrajectory]:
    """Make the log of a driver that stands at 0.1 rad and receives pieces of a path."""
    driver = LoggedDriver(np.full(6, 0.1), BEGIN_NS - 100 * MS)
    entries = [driver.first_entry]
    for time_ms in at_ms:
        entries.append(driver.receive(sent(way, time_ms), BEGIN_NS + round((time_ms + delay_ms) * MS)))
    return entries


def entries_of(messages: list[JointTrajectory]) -> list[ReceivedTrajectory]:
    return [received(message, np.full(6, 0.1), OFFSET_NS) for message in messages]


def steady(time_ms: float) -> int:
    return BEGIN_NS - OFFSET_NS + round(time_ms * MS)


def test_the_demand_is_the_motion_that_was_sent_in_steady_time():
    entries = entries_of(log(path(), [-20.0, 0.0, 20.0, 40.0]))
    assert entries[0].is_begin and not entries[1].is_begin
    assert entries[1].arrived_ns == steady(-18.0) and entries[1].trajectory.start_ns == steady(-20.0)
    demand = demand_between(entries, steady(10.0), steady(500.0))
    expected = [path().at(int(time_ns) + OFFSET_NS).position for time_ns in demand.times_ns]
    np.testing.assert_allclose(demand.positions, np.array(expected)[:, None] * np.ones(6), atol=1e-12)
    assert demand.speeds.max() == pytest.approx(SPEED)
    with pytest.raises(ValueError, match="a trajectory from before"):
        demand_between(entries[2:], steady(0.0), steady(10.0))


def test_states_of_a_trajectory_are_those_of_the_motion():
    way = entries_of(log(path(), [0.0]))[1].trajectory
    for time_ms in (0.0, 33.0, 100.0, 2_000.0):
        expected = path().at(BEGIN_NS + round(time_ms * MS))
        np.testing.assert_allclose(state_at(way, steady(time_ms))[:, 0], expected, atol=1e-9)


def test_a_demand_rests_when_it_stands_for_a_while():
    entries = entries_of(log(path(), [0.0]))
    end_ms = 1e3 * sum(duration for duration, _ in WAY)
    demand = demand_between(entries, steady(2.0), steady(end_ms + 100))
    rest_ns = demand.rest_ns(steady(10.0))
    assert rest_ns is not None and abs(rest_ns - steady(end_ms)) <= 3 * MS
    assert demand_between(entries, steady(2.0), steady(end_ms + 10)).rest_ns(steady(10.0)) is None
    assert demand.until(steady(50.0)).times_ns[-1] < steady(50.0)


def judged(messages: list[JointTrajectory], tmp_path, until_ms: float = 700.0) -> list[str]:
    judge = DemandJudge(load_robot(write_driven_contract(tmp_path)))
    judge.offset_ns = OFFSET_NS
    for message in messages:
        judge.note_entry(message, 0)
    return judge.problems(steady(until_ms))


@pytest.mark.parametrize("delay_ms", [0.5, 12.0, 19.0])
def test_what_joins_is_no_problem_however_long_it_takes(tmp_path, delay_ms):
    times = [float(time_ms) for time_ms in range(-20, 200, 20)]
    assert judged(log(path(), times, delay_ms), tmp_path) == []


def test_a_trajectory_of_another_motion_is_a_jump(tmp_path):
    messages = log(path(), [-20.0, 0.0, 20.0])
    # The same motion, begun 1 ms later: at 0.3 rad/s that is 0.3 mrad.
    messages += log(path(begin_ms=1.0), [60.0])[1:]
    found = judged(messages, tmp_path)
    limits = "acceleration, jerk"
    assert found[:2] == [
        f"trajectory_from_{model}: the demand broke limits of {limits}" for model in ("desired", "measured")
    ]


def test_one_that_was_sent_long_ago_is_named(tmp_path):
    messages = log(path(), [-20.0, 0.0, 20.0])
    late = sent(path(begin_ms=1.0), 40.0)
    late.header.frame_id = str(BEGIN_NS + 75 * MS)
    found = judged([*messages, late], tmp_path)
    assert found[-1] == "a trajectory came 35 ms after its stamp, joined until 20 ms"


def test_a_refused_trajectory_is_a_problem_unless_it_is_over(tmp_path):
    messages = log(path(), [-20.0, 0.0])
    moving, over = sent(path(), 20.0), sent(path(), 40.0)
    moving.points.pop()
    moving.points.pop()
    moving.header.frame_id, over.header.frame_id = str(BEGIN_NS + 22 * MS), str(BEGIN_NS + 10_000 * MS)
    found = judged([*messages, moving, over], tmp_path)
    assert found == ["a driver refused a trajectory: the last velocity is not zero"]


def test_what_was_told_is_not_told_again_and_old_entries_are_forgotten(tmp_path):
    judge = DemandJudge(load_robot(write_driven_contract(tmp_path)))
    judge.offset_ns = OFFSET_NS
    times = [20.0 * number for number in range(-1, KEPT + 50)]
    for message in log(path(phases=[]), times):
        judge.note_entry(message, 0)
    judge.forget()
    assert len(judge.entries) == KEPT + 52, "they are not judged yet"
    assert judge.problems(steady(1_000.0)) == []
    judge.forget()
    assert len(judge.entries) == KEPT
    for message in log(path(begin_ms=5_030.0, position=0.2), [5_040.0])[1:]:
        judge.note_entry(message, 0)
    assert len(judge.problems(steady(5_100.0))) == 2
    assert judge.problems(steady(5_200.0)) == []
    metrics = judge.metrics()["trajectory_from_desired"]
    assert metrics["violations"]["velocity"] > 0 and metrics["jump_rad_max"] > 0.09


def test_metrics_of_two_graphs_are_added(tmp_path):
    def metrics(begin_ms: float, name: str) -> dict[str, Any]:
        judge = DemandJudge(load_robot(write_driven_contract(tmp_path)))
        judge.offset_ns = OFFSET_NS
        for message in log(path(begin_ms=begin_ms), [-20.0, 0.0]):
            judge.note_entry(message, 0)
        judge.problems(steady(500.0))
        return {name: judge.metrics()["trajectory_from_desired"]}

    # The second one begins in the middle of its motion: it jumps.
    calm, jumped = metrics(0.0, "a")["a"], metrics(-50.0, "a")["a"]
    both = merged({"a": calm, "b": calm}, {"a": jumped})
    assert both["b"] == calm and both["a"]["samples"] == calm["samples"] + jumped["samples"]
    assert both["a"]["violations"] == jumped["violations"] and jumped["violations"]["jerk"] > 0
    assert both["a"]["largest_share_of_limit"]["jerk"] == jumped["largest_share_of_limit"]["jerk"]
    assert merged({}, {"a": calm}) == {"a": calm}


def test_a_stop_may_ease_the_acceleration_it_finds_and_no_more():
    # Asked for in full acceleration; the driver has 20 ms of it already.
    before = entries_of(log(path(), [0.0]))
    asked_ms, branch_ms, jerk = 30.0, 50.0, np.full(6, STOP["jerk"])
    permitted = permitted_speeds(before, steady(asked_ms), steady(branch_ms), jerk)
    state = path().at(BEGIN_NS + round(branch_ms * MS))
    assert permitted == pytest.approx(state.velocity + state.acceleration**2 / (2 * STOP["jerk"]))
    stop = stop_phases(state.velocity, state.acceleration, STOP["acceleration"], STOP["jerk"])
    branched = [(branch_ms / 1e3, JERK), *stop] if branch_ms / 1e3 <= RISE_S else None
    assert branched is not None
    entries = entries_of(log(path(), [0.0])) + entries_of(log(path(phases=branched), [asked_ms]))[1:]
    assert rise_problems(demand_between(entries, steady(asked_ms), steady(400.0)), permitted) == []
    # One that goes on for another period first.
    longer = path().at(BEGIN_NS + round(70 * MS))
    late = [
        (0.07, JERK),
        *stop_phases(longer.velocity, longer.acceleration, STOP["acceleration"], STOP["jerk"]),
    ]
    entries = entries_of(log(path(), [0.0])) + entries_of(log(path(phases=late), [asked_ms]))[1:]
    (problem,) = rise_problems(demand_between(entries, steady(asked_ms), steady(400.0)), permitted)
    assert problem.startswith("the speed rose to 0.2")


def test_a_stop_of_a_joint_that_brakes_already_has_nothing_to_ease():
    before = entries_of(log(path(), [0.0]))
    braking_ms = 1e3 * (2 * RISE_S + 0.3) + 30
    permitted = permitted_speeds(
        before, steady(braking_ms), steady(braking_ms + 20), np.full(6, STOP["jerk"])
    )
    assert permitted == pytest.approx(path().at(BEGIN_NS + round(braking_ms * MS)).velocity, rel=0.02)


def test_grid_meets_every_phase_of_a_period():
    phases = {(number * GRID_NS) % PERIOD_NS // MS for number in range(10_000)}
    assert phases == set(range(20))
