"""Which instruction is followed and how tasks end."""

from __future__ import annotations

import threading

import pytest

from asyncvla_ros.ros.policy.tasks import Result, TaskSlot
from asyncvla_ros.types import AsyncVLAError

pytestmark = pytest.mark.ros
SEC = 10**9


def test_a_task_goes_before_the_standing_instruction():
    slot = TaskSlot("tidy up")
    task = slot.begin("lift", now_ns=0, limit_ns=0)
    assert slot.instruction == "lift"
    slot.end(Result.TERMINATION_CANCELED, "enough", task)
    assert (slot.instruction, task.termination, task.text) == (
        "tidy up",
        Result.TERMINATION_CANCELED,
        "enough",
    )


def test_empty_instructions_are_no_task():
    with pytest.raises(AsyncVLAError, match="the instruction is empty"):
        TaskSlot("").begin("  ", 0, 0)


def test_successors_preempt_and_late_ends_do_not_hit_them():
    slot = TaskSlot("")
    first = slot.begin("one", 0, 0)
    second = slot.begin("two", 0, 0)
    assert first.termination == Result.TERMINATION_PREEMPTED and "two" in first.text
    slot.end(Result.TERMINATION_CANCELED, "late", first)
    assert not second.has_ended
    assert slot.set_standing("three") == "two"
    assert second.termination == Result.TERMINATION_PREEMPTED
    assert slot.instruction == "three"


def test_time_limit_on_the_given_clock():
    slot = TaskSlot("")
    task = slot.begin("lift", now_ns=10 * SEC, limit_ns=2 * SEC)
    slot.check_limit(task, 12 * SEC - 1)
    assert not task.has_ended
    slot.check_limit(task, 12 * SEC)
    assert (task.termination, task.text) == (Result.TERMINATION_TIME_LIMIT, "time limit of 2 s reached")


def test_only_an_episode_seen_running_decides():
    slot = TaskSlot("")
    task = slot.begin("lift", 0, 0)
    slot.note_episode(4, is_running=False, termination=Result.TERMINATION_SUCCESS, text="old")
    slot.note_episode(5, is_running=True, termination=Result.TERMINATION_UNKNOWN, text="")
    slot.note_episode(4, is_running=False, termination=Result.TERMINATION_SUCCESS, text="old")
    assert not task.has_ended
    slot.note_episode(5, is_running=False, termination=Result.TERMINATION_SUCCESS, text="solved")
    assert (task.termination, task.text) == (Result.TERMINATION_SUCCESS, "solved")


def test_an_episode_that_runs_already_counts():
    slot = TaskSlot("")
    slot.note_episode(5, is_running=True, termination=Result.TERMINATION_UNKNOWN, text="")
    task = slot.begin("lift", 0, 0)
    slot.note_episode(5, is_running=False, termination=Result.TERMINATION_TIME_LIMIT, text="out of steps")
    assert task.termination == Result.TERMINATION_TIME_LIMIT


def test_chunks_count_for_their_own_instruction():
    slot = TaskSlot("")
    task = slot.begin("lift", 0, 0)
    slot.note_chunk("another", 0.9)
    slot.note_chunk("lift", 0.5)
    assert (task.chunks, task.confidence) == (1, 0.5)


def test_waiters_wake_up_at_the_end():
    slot = TaskSlot("")
    task = slot.begin("lift", 0, 0)
    waiter = threading.Thread(target=slot.wait, args=(task, 60.0))
    waiter.start()
    slot.end(Result.TERMINATION_FAULT, "broken")
    waiter.join(10.0)
    assert not waiter.is_alive()
