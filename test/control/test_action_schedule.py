from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncvla_ros.control.action_schedule import ActionSchedule, ScheduledAction
from support.contracts import MS, STEP_NS, chunk

# Arrivals (stamp of the observation, latency until merged, restart of the policy) between updates.
ARRIVALS = st.tuples(st.just("chunk"), st.integers(0, 400 * MS), st.integers(0, 200 * MS), st.integers(0, 9))
UPDATES = st.tuples(st.just("update"), st.integers(0, 120 * MS))
EVENTS = st.lists(st.one_of(ARRIVALS, UPDATES), max_size=60)


def test_each_action_is_due_for_one_step():
    schedule = ActionSchedule()
    schedule.merge(chunk(length=3))
    assert schedule.due(-1) is None
    first = schedule.due(0)
    assert first is not None and first.index == 0
    assert schedule.due(STEP_NS - 1) is None  # handed out already
    second = schedule.due(2 * STEP_NS - 1)
    assert second is not None and (second.index, second.due_ns) == (1, STEP_NS)
    third = schedule.due(2 * STEP_NS)
    assert third is not None and third.index == 2
    assert not schedule.is_exhausted(3 * STEP_NS - 1)
    assert schedule.due(3 * STEP_NS) is None
    assert schedule.is_exhausted(3 * STEP_NS)


def test_drawing_of_the_docstring():
    schedule = ActionSchedule()
    schedule.merge(chunk(1, 0, length=6))
    handed = []
    for step in range(10):
        action = schedule.due(step * STEP_NS)
        handed.append("-" if action is None else f"{'ab'[action.chunk.chunk_id - 1]}{action.index}")
        if step == 3:
            schedule.merge(chunk(2, 2 * STEP_NS, length=6))
    assert handed == ["a0", "a1", "a2", "a3", "b2", "b3", "b4", "b5", "-", "-"]
    assert schedule.expired == 2


def test_a_chunk_of_the_future_waits():
    schedule = ActionSchedule()
    schedule.merge(chunk(1, 0))
    schedule.merge(chunk(2, 2 * STEP_NS))
    assert schedule.remaining(0) == 2 + 8
    ids = [action.chunk.chunk_id for n in range(4) if (action := schedule.due(n * STEP_NS))]
    assert ids == [1, 1, 2, 2]


def test_n_action_steps_limits_each_chunk():
    schedule = ActionSchedule(n_action_steps=4)
    schedule.merge(chunk(1, 0))
    assert schedule.remaining(0) == 4
    assert [schedule.due(n * STEP_NS) is not None for n in range(6)] == [True] * 4 + [False] * 2
    assert schedule.is_exhausted(4 * STEP_NS)
    with pytest.raises(ValueError, match="n_action_steps is -1"):
        ActionSchedule(-1)


def test_order_of_chunks_and_sessions():
    schedule = ActionSchedule()
    assert schedule.merge(chunk(5, 100 * MS))
    assert not schedule.merge(chunk(5, 200 * MS)), "same id"
    assert not schedule.merge(chunk(4, 200 * MS)), "id goes back"
    assert not schedule.merge(chunk(6, 90 * MS)), "stamp goes back"
    assert schedule.merge(chunk(6, 100 * MS)), "a second chunk from the same observation replaces the first"
    assert not schedule.merge(chunk(1, 100 * MS, session_id=8)), "a new session needs a later observation"
    assert schedule.merge(chunk(1, 150 * MS, session_id=8)), "a restarted policy counts from 1 again"
    assert not schedule.merge(chunk(7, 300 * MS)), "the session before never comes back"


def test_reset_forgets_the_plan_but_not_the_order():
    schedule = ActionSchedule()
    schedule.merge(chunk(5, 100 * STEP_NS))
    schedule.reset()
    assert schedule.due(100 * STEP_NS) is None
    assert schedule.newest is None
    assert not schedule.merge(chunk(5, 0))
    assert schedule.merge(chunk(6, 0))
    action = schedule.due(0)
    assert action is not None and action.index == 0


@given(EVENTS)
def test_exactly_the_due_action_and_never_back(events):
    schedule = ActionSchedule()
    handed: list[ScheduledAction] = []
    accepted = []
    now, chunk_id, session = 0, 0, 1
    for event in events:
        if event[0] == "chunk":
            _, ahead, late, dice = event
            if dice == 0:
                session, chunk_id = session + 1, 0
            # Dice 1: an id that does not go up; it must be refused.
            chunk_id += dice != 1
            new = chunk(chunk_id, now + ahead - late, length=4, session_id=session)
            if schedule.merge(new):
                accepted.append(new)
            continue
        now += event[1]
        remaining = schedule.remaining(now)
        action = schedule.due(now)
        if action is None:
            continue
        assert action.due_ns <= now < action.due_ns + STEP_NS, "expired or early"
        assert action.index == (now - action.chunk.stamp_ns) // STEP_NS
        assert (action.values == action.chunk.actions[action.index]).all()
        assert schedule.remaining(now) == remaining - 1
        # The newest accepted chunk that has begun is the one that acts.
        begun = [known for known in accepted if known.stamp_ns <= now]
        assert action.chunk is begun[-1]
        handed.append(action)
    keys = [(a.chunk.session_id, a.chunk.chunk_id, a.index) for a in handed]
    assert keys == sorted(keys), "an id or an index went back"
    assert len(set(keys)) == len(keys), "an action was handed out twice"


@given(st.integers(0, 10**18), st.integers(1, 10**9), st.integers(1, 20), st.integers(-(10**9), 10**11))
def test_the_index_is_one_exact_computation(stamp, step, length, offset):
    schedule = ActionSchedule()
    schedule.merge(chunk(1, stamp, length=length, action_period_ns=step))
    action = schedule.due(stamp + offset)
    index = offset // step
    assert (action.index if action else None) == (index if 0 <= index < length else None)
    assert schedule.is_exhausted(stamp + offset) == (index >= length)
