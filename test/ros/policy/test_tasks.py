"""Which instruction is followed, how tasks end, and that their motion ends with them."""

from __future__ import annotations

import threading

import pytest

from asyncvla_ros.ros.policy.tasks import NOT_ACTIVE, Result, TaskSlot
from asyncvla_ros.types import AsyncVLAError

pytestmark = pytest.mark.ros
SEC = 10**9
NAN = float("nan")


class Harness:
    """An open slot, and in order what it did: chunks sent, ``stop``, and ``look`` at what is followed."""

    def __init__(self, standing=""):
        self.did = []
        self.slot = TaskSlot(self._stop, lambda: self.did.append(f"look: {self.slot.instruction}"))
        self.slot.set_standing(standing)
        self.slot.open()
        self.did.clear()

    def _stop(self):
        assert self.slot.followed is None
        self.did.append("stop")

    def begin(self, instruction, now_ns=0, limit_ns=0):
        return self.slot.begin(instruction, now_ns, limit_ns)

    def publish(self, followed=None, confidence=NAN):
        """Publish a chunk for what is followed now, or was."""
        followed = followed or self.slot.followed
        return self.slot.publish(followed, confidence, lambda: self.did.append(followed.instruction))

    def cancel(self, task):
        self.slot.end(Result.TERMINATION_CANCELED, "canceled", task)


@pytest.fixture
def idle():
    return Harness()


def test_a_task_goes_before_the_standing_instruction():
    tidy = Harness("tidy up")
    task = tidy.begin("lift")
    assert tidy.slot.instruction == tidy.slot.followed.instruction == "lift"
    tidy.cancel(task)
    assert (tidy.slot.instruction, task.termination, task.text) == (
        "tidy up",
        Result.TERMINATION_CANCELED,
        "canceled",
    )
    assert tidy.slot.followed.task is None


def test_blank_instructions_are_no_task_and_mean_rest(idle):
    with pytest.raises(AsyncVLAError, match="the instruction is empty"):
        idle.begin("  ")
    idle.slot.set_standing(" ")
    assert idle.slot.followed is None and not idle.did


def test_successors_preempt_and_late_ends_do_not_hit_them(idle):
    first = idle.begin("one")
    second = idle.begin("two")
    assert first.termination == Result.TERMINATION_PREEMPTED and "two" in first.text
    idle.cancel(first)
    assert first.termination == Result.TERMINATION_PREEMPTED and not second.has_ended
    idle.slot.set_standing("three")
    assert second.termination == Result.TERMINATION_PREEMPTED
    assert idle.slot.instruction == "three"


def test_time_limit_on_the_given_clock(idle):
    task = idle.begin("lift", now_ns=10 * SEC, limit_ns=2 * SEC)
    idle.slot.check_limit(task, 12 * SEC - 1)
    assert not task.has_ended
    idle.slot.check_limit(task, 12 * SEC)
    assert (task.termination, task.text) == (Result.TERMINATION_TIME_LIMIT, "time limit of 2 s reached")


def test_only_an_episode_seen_running_decides(idle):
    task = idle.begin("lift")
    success, unknown = Result.TERMINATION_SUCCESS, Result.TERMINATION_UNKNOWN
    idle.slot.note_episode(4, is_running=False, termination=success, text="old")
    idle.slot.note_episode(5, is_running=True, termination=unknown, text="")
    idle.slot.note_episode(4, is_running=False, termination=success, text="old")
    assert not task.has_ended
    idle.slot.note_episode(5, is_running=False, termination=success, text="solved")
    assert (task.termination, task.text) == (success, "solved")


def test_an_episode_that_runs_already_counts(idle):
    idle.slot.note_episode(5, is_running=True, termination=Result.TERMINATION_UNKNOWN, text="")
    task = idle.begin("lift")
    idle.slot.note_episode(
        5, is_running=False, termination=Result.TERMINATION_TIME_LIMIT, text="out of steps"
    )
    assert task.termination == Result.TERMINATION_TIME_LIMIT


def test_chunks_count_for_their_own_task():
    tidy = Harness("lift")
    assert tidy.publish(confidence=0.9)
    task = tidy.begin("lift")
    assert tidy.publish(confidence=0.5)
    assert (task.chunks, task.confidence) == (1, 0.5)


def test_waiters_wake_up_at_the_end(idle):
    task = idle.begin("lift")
    waiter = threading.Thread(target=idle.slot.wait, args=(task, 60.0))
    waiter.start()
    idle.cancel(task)
    waiter.join(10.0)
    assert not waiter.is_alive()


def test_what_is_over_is_not_published_even_if_the_same_instruction_is_followed_again(idle):
    task = idle.begin("lift")
    inferred_for = idle.slot.followed
    idle.cancel(task)
    again = idle.begin("lift")
    assert not idle.publish(inferred_for)
    assert (inferred_for.end_reason, again.chunks) == ("canceled", 0)
    assert idle.publish() and again.chunks == 1


def test_motion_ends_once_per_end_and_before_anything_else_is_followed():
    tidy = Harness("tidy up")
    tidy.publish()
    task = tidy.begin("lift")
    tidy.publish()
    tidy.publish()
    tidy.cancel(task)
    tidy.slot.set_standing("")
    expected = ["tidy up", "stop", "look: lift", "lift", "lift", "stop", "look: tidy up"]
    assert tidy.did == expected, "there was no motion of the last one to end"
    tidy.slot.close(Result.TERMINATION_DEACTIVATED, "deactivated", NOT_ACTIVE)
    tidy.slot.close(Result.TERMINATION_DEACTIVATED, "deactivated", NOT_ACTIVE)
    assert tidy.did == expected


@pytest.mark.parametrize("standing", ["", "lift"])
def test_the_standing_instruction_ends_a_task_also_if_it_stays_the_same(standing):
    same = Harness(standing)
    same.publish() if standing else None
    task = same.begin("lift")
    same.publish()
    same.did.clear()
    same.slot.set_standing(standing)
    assert task.termination == Result.TERMINATION_PREEMPTED
    assert same.did == (["stop", "look: lift"] if standing else ["stop"])
    same.slot.set_standing(standing)
    assert len(same.did) == (2 if standing else 1), "outside of tasks the same one goes on"


def test_no_chunk_comes_after_the_end_whatever_thread_was_first(idle):
    """One thread publishes without a pause for what it last saw; another one begins and ends tasks."""
    stopping = threading.Event()

    def infer():
        followed = None
        while not stopping.is_set():
            followed = idle.slot.followed or followed
            if followed is not None:
                idle.publish(followed)

    thread = threading.Thread(target=infer)
    thread.start()
    for number in range(300):
        task = idle.begin(str(number))
        idle.slot.wait(task, 10.0)
        idle.cancel(task)
    stopping.set()
    thread.join(10.0)
    assert idle.did.count("stop") == 300
    check_chunks_are_of_what_is_followed(idle.did)


def check_chunks_are_of_what_is_followed(did):
    """Walk through what a ``Harness`` did: each stop ends a motion, and each motion ends."""
    current, moving = "", False
    for event in did:
        if event.startswith("look: "):
            assert not moving
            current = event.removeprefix("look: ")
        elif event == "stop":
            assert moving
            current, moving = "", False
        else:
            assert event == current
            moving = True
    assert not moving


def test_a_closed_slot_rests_and_refuses_tasks():
    tidy = Harness("tidy up")
    task = tidy.begin("lift")
    tidy.publish()
    inferred_for = tidy.slot.followed
    tidy.slot.close(Result.TERMINATION_FAULT, "broken", "broken; activate again")
    assert (task.termination, tidy.slot.followed, tidy.did[-1]) == (Result.TERMINATION_FAULT, None, "stop")
    with pytest.raises(AsyncVLAError, match="broken; activate again"):
        tidy.begin("lift")
    tidy.slot.set_standing("place")
    assert not tidy.publish(inferred_for) and tidy.slot.followed is None
    assert tidy.slot.instruction == "place", "what will be followed"
    tidy.slot.open()
    assert tidy.slot.followed.instruction == "place"


def test_a_slot_is_closed_at_first():
    with pytest.raises(AsyncVLAError, match="not active"):
        TaskSlot(lambda: None, lambda: None).begin("lift", 0, 0)


def test_an_end_whose_message_fails_is_an_end_all_the_same():
    lost = [True]

    def stop():
        if lost[0]:
            raise RuntimeError("the publisher is gone")
        sent.append("stop")

    sent = []
    slot = TaskSlot(stop, lambda: None)
    slot.open()
    slot.set_standing("tidy up")
    task = slot.begin("lift", 0, 0)
    slot.publish(slot.followed, NAN, lambda: None)
    with pytest.raises(RuntimeError, match="the publisher is gone"):
        slot.begin("place", 0, 0)
    assert task.termination == Result.TERMINATION_PREEMPTED
    assert slot.followed is None, "nothing moves before the end was sent"
    lost[0] = False
    slot.set_standing("tidy up")
    assert sent == ["stop"] and slot.followed.instruction == "tidy up"


def test_what_is_held_stops_once_and_goes_on_when_a_chunk_is_published_again():
    did = []
    slot = TaskSlot(lambda: did.append("stop"), lambda: did.append("look"))
    slot.open()
    task = slot.begin("lift", 0, 10 * SEC)
    followed = slot.followed
    did.clear()
    assert slot.hold(followed) and did == [], "nothing moves yet"
    for _ in range(2):
        assert slot.publish(followed, NAN, lambda: did.append("chunk"))
    assert slot.hold(followed) and slot.hold(followed)
    assert did == ["chunk", "chunk", "stop"] and slot.followed is followed and not task.has_ended
    assert slot.publish(followed, NAN, lambda: did.append("chunk")) and task.chunks == 3
    assert slot.hold(followed)
    slot.check_limit(task, 10 * SEC)
    assert task.termination == Result.TERMINATION_TIME_LIMIT, "the time of a held task runs on"
    assert did[3:] == ["chunk", "stop"], "its motion had ended before"
    assert not slot.hold(followed)
