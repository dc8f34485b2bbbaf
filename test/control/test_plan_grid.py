"""Whenever cameras, inferences and updates come, a kept action is executed once, when it was due."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from asyncvla_ros.control.action_schedule import ActionSchedule
from asyncvla_ros.control.chunk_session import ChunkSession
from asyncvla_ros.control.plan_memory import PlanMemory
from asyncvla_ros.control.safety import check_chunk
from asyncvla_ros.types import ActionChunk, StageTimes
from support.contracts import MS, STEP_NS, libero_panda

LENGTH, UPDATES, BEGIN_NS = 16, 400, 1000 * MS
ROBOT = libero_panda()


def numbered(first: int) -> np.ndarray:
    """Actions that nobody has seen before: in the gripper's place stands the number of each."""
    actions = np.zeros((LENGTH, 7), np.float32)
    actions[:, -1] = np.arange(first, first + LENGTH)
    return actions


def chunks(frames, latency_ns, *, commits=True):
    """Observe at ``frames`` when free; yield (arrival, chunk) that keeps actions as ``commit`` does."""
    session, fresh, free_ns = ChunkSession(ROBOT), 0, 0
    for stamp_ns in frames:
        if stamp_ns < free_ns:
            continue
        free_ns = stamp_ns + latency_ns
        previous = session.previous(stamp_ns) if commits else None
        actions, kept = numbered(fresh), 0
        fresh += LENGTH
        if previous is not None:
            kept = min(previous.delay, LENGTH - 1)
            actions[:kept] = previous.actions[:kept]
        refined, times = np.zeros(LENGTH, bool), StageTimes(0, 0, 0, 0, 0)
        answer = ActionChunk(actions, None, refined, kept, times, continues=previous is not None)
        yield free_ns, session.chunk(answer, stamp_ns, free_ns, "lift")


@pytest.mark.parametrize("phase", [0, 7, 24, 25, 26, 49])
@pytest.mark.parametrize(("camera_hz", "jitter_ms"), [(20, 0), (20, 1), (10, 1), (30, 1), (15, 3), (17.3, 1)])
@pytest.mark.parametrize("latency_ms", [60, 70, 110])
def test_each_control_step_has_the_action_that_was_planned_for_it(camera_hz, jitter_ms, latency_ms, phase):
    rng = np.random.default_rng(phase)
    count = int(UPDATES * camera_hz / 20) + 10
    frames = BEGIN_NS + np.arange(count) * 1e9 / camera_hz + rng.normal(0, jitter_ms * MS, count)
    coming = list(chunks(frames.astype(int).tolist(), latency_ms * MS))
    schedule, due, numbers = ActionSchedule(), [], []
    for update in range(UPDATES):
        now_ns = BEGIN_NS + phase * MS + update * STEP_NS
        while coming and coming[0][0] <= now_ns:
            arrival_ns, chunk = coming.pop(0)
            assert check_chunk(chunk, ROBOT, arrival_ns) is None
            assert schedule.merge(chunk)
        if (action := schedule.due(now_ns)) is not None:
            due.append(action.due_ns)
            numbers.append(round(float(action.values[-1])))
    assert len(due) > UPDATES - 5
    assert set(np.diff(due)) == {STEP_NS}, "control steps left out, or executed twice"
    steps = np.diff(numbers)
    assert (steps >= 1).all(), "an action was executed twice"
    same = np.array(numbers[1:]) // LENGTH == np.array(numbers[:-1]) // LENGTH
    assert set(steps[same]) <= {1}, "of one plan, actions were left out"
    assert len({number // LENGTH for number in numbers}) > UPDATES / 8, "new plans are followed"


def test_a_chunk_that_reads_no_plan_begins_with_its_observation():
    found = [chunk for _, chunk in chunks([BEGIN_NS, BEGIN_NS + 63 * MS], 60 * MS, commits=False)]
    assert [chunk.begin_ns for chunk in found] == [BEGIN_NS, BEGIN_NS + 63 * MS]


def test_what_is_kept_reaches_to_the_step_in_which_the_answer_comes():
    memory = PlanMemory(STEP_NS)
    memory.note(0, 70 * MS, numbered(0))
    # Observed at 80 ms, near action 2, which is due at 100 ms: at 150 ms the answer meets action 3.
    previous = memory.previous(80 * MS)
    assert previous.actions[0, -1] == 2 and previous.delay == 1
    # Observed at 120 ms, near the same one: at 190 ms action 3 is under way.
    assert memory.previous(120 * MS).delay == 2
    assert memory.note(120 * MS, 190 * MS, numbered(16), continues=True) == 100 * MS


def test_a_chunk_that_came_before_its_time_has_no_delay():
    """Its stamp was ahead of the node's clock."""
    memory = PlanMemory(STEP_NS)
    memory.note(1000 * MS, 900 * MS, numbered(0))
    assert memory.previous(1100 * MS).delay == 0


def test_a_begin_far_from_the_observation_is_refused():
    (chunk,) = (chunk for _, chunk in chunks([BEGIN_NS], 60 * MS))
    assert check_chunk(replace(chunk, offset_ns=25 * MS), ROBOT, BEGIN_NS) is None
    rejection = check_chunk(replace(chunk, offset_ns=-26 * MS), ROBOT, BEGIN_NS)
    assert rejection is not None and "begins -0.026 s after its observation" in rejection.text
