"""Numbers and stamps of the chunks of one activation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from asyncvla_ros.control.chunk_session import ChunkSession
from asyncvla_ros.ros.conversions import chunk_from_message, chunk_to_message
from asyncvla_ros.types import ActionChunk, StageTimes
from support.contracts import MS, STEP_NS, libero_panda

pytestmark = pytest.mark.ros
ANSWER = ActionChunk(
    actions=np.arange(56, dtype=np.float32).reshape(8, 7) / 56,
    confidence=np.full(8, 0.5, np.float32),
    refined=np.zeros(8, bool),
    n_frozen=2,
    times=StageTimes(0, 0, 0, 0, 0),
)


@pytest.fixture
def session():
    return ChunkSession(libero_panda())


def test_chunks_count_up_in_the_units_of_the_robot(session):
    first = session.chunk(ANSWER, 5 * MS, 10 * MS, "lift")
    second = session.chunk(ANSWER, 55 * MS, 60 * MS, "place")
    assert (first.chunk_id, second.chunk_id) == (1, 2) and first.session_id == second.session_id
    assert (second.stamp_ns, second.action_period_ns, second.instruction) == (55 * MS, STEP_NS, "place")
    assert (second.n_frozen, len(second.confidence)) == (2, 8) and not second.is_end
    np.testing.assert_allclose(second.actions, ANSWER.actions * libero_panda().scale)


@pytest.mark.parametrize(("now_ns", "stamp_ns"), [(90 * MS, 90 * MS), (40 * MS, 55 * MS)])
def test_an_end_is_a_chunk_without_actions_that_is_not_older_than_the_one_before(session, now_ns, stamp_ns):
    chunk = session.chunk(ANSWER, 55 * MS, 60 * MS, "lift")
    end = chunk_from_message(chunk_to_message(session.end(now_ns), "base", 0))
    assert end.is_end and end.actions.shape == (0, 7)
    assert (end.session_id, end.chunk_id, end.stamp_ns) == (chunk.session_id, 2, stamp_ns)
    assert (end.action_space, end.dof_names) == (chunk.action_space, chunk.dof_names)
    assert (end.action_period_ns, end.instruction) == (chunk.action_period_ns, "lift")
    assert end.confidence is None and end.refined is None
    assert session.chunk(ANSWER, 95 * MS, 99 * MS, "lift").chunk_id == 3


def test_the_plan_is_known_in_its_own_units_until_the_end_or_a_jump_of_the_clock(session):
    assert session.previous(0) is None
    for forget in (lambda: session.end(0), session.forget_times):
        session.chunk(ANSWER, 0, 2 * STEP_NS, "lift")
        previous = session.previous(STEP_NS)
        np.testing.assert_array_equal(previous.actions, ANSWER.actions[1:])
        assert previous.delay == 2
        forget()
        assert session.previous(STEP_NS) is None


def test_one_late_answer_makes_the_next_ten_expected_late(session):
    delays = []
    for number, late in enumerate((1, 3.2, *[1] * 12)):
        stamp = number * STEP_NS
        session.chunk(ANSWER, stamp, stamp + int(late * STEP_NS), "lift")
        delays.append(session.previous(stamp + STEP_NS).delay)
    assert delays == [1, *[4] * 10, 1, 1, 1]


def test_in_lockstep_nothing_executes_meanwhile(session):
    session.chunk(ANSWER, STEP_NS, STEP_NS, "lift")
    assert session.previous(2 * STEP_NS).delay == 0


def test_of_an_ensemble_the_draft_is_remembered_and_the_mean_is_sent(session):
    mean = replace(ANSWER, actions=ANSWER.actions + 1, draft=ANSWER.actions)
    sent = session.chunk(mean, 0, 0, "lift")
    np.testing.assert_allclose(sent.actions, mean.actions * libero_panda().scale)
    session.chunk(mean, STEP_NS, STEP_NS, "lift")
    previous = session.previous(2 * STEP_NS)
    np.testing.assert_array_equal(previous.actions, mean.actions[1:])
    assert [len(draft) for draft in previous.drafts] == [6, 7]
    np.testing.assert_array_equal(previous.drafts[0], ANSWER.actions[2:])


def test_after_a_jump_of_the_clock_an_end_has_the_new_time(session):
    session.chunk(ANSWER, 55 * MS, 60 * MS, "lift")
    session.forget_times()
    assert session.end(3 * MS).stamp_ns == 3 * MS
