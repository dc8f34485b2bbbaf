"""Which messages belong to an episode, and how it ends."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.serialization import serialize_message
from std_msgs.msg import String

from asyncvla_ros.bags.episode import FAILURE, SUCCESS, UNKNOWN, read_note
from asyncvla_ros.bags.reader import BagReader
from asyncvla_ros.ros.recorder import episode_recorder
from asyncvla_ros.ros.recorder.episode_recorder import EpisodeRecorder
from asyncvla_ros.ros.recorder.episode_writer import Channel
from asyncvla_ros.ros.recorder.pre_roll import ReceivedMessage

pytestmark = pytest.mark.ros
SEC = 10**9
WORDS = Channel("/words", "std_msgs/msg/String")
NAMES = Channel("/names", "std_msgs/msg/String")


class Log:
    """Of a node: what it says, line by line."""

    def __init__(self):
        self.lines = []
        self.info = self.warning = self.error = self.lines.append


class AskedPolicy:
    """A policy whose answer the test gives."""

    def ask(self, describe):
        self.answer = describe


class Rig:
    """A recorder whose clock stands at 10 s."""

    def __init__(self, out, policy=None):
        self.log, self.out = Log(), out
        clock = SimpleNamespace(now=lambda: SimpleNamespace(nanoseconds=10 * SEC))
        node = SimpleNamespace(get_logger=lambda: self.log, get_clock=lambda: clock)
        self.recorder = EpisodeRecorder(node, out, "arm", "name: arm", policy, "none before")

    def begin(self, since_ns=0):
        return self.recorder.begin([WORDS, NAMES], "lift", since_ns=since_ns)

    def hear(self, text, stamp_ns=10 * SEC, channel=WORDS, *, is_latched=False, lost=0):
        content = serialize_message(String(data=text))
        message = ReceivedMessage(channel, stamp_ns, stamp_ns, content, time.monotonic())
        self.recorder.put(message, is_latched=is_latched, lost=lost)


def texts(folder):
    with BagReader(folder) as bag:
        return [one.message.data for one in bag.messages()]


@pytest.fixture
def rig(tmp_path, monkeypatch):
    monkeypatch.setattr(episode_recorder, "TAIL_S", 0.0)
    return Rig(tmp_path)


def test_the_newest_messages_and_the_last_latched_ones_come_before_an_episode(rig):
    rig.hear("old name", channel=NAMES, is_latched=True)
    rig.hear("name", channel=NAMES, is_latched=True)
    rig.hear("of the episode before", 8 * SEC)
    rig.hear("first", 9 * SEC)
    folder = rig.begin(since_ns=9 * SEC)
    rig.hear("second")
    rig.recorder.finish(SUCCESS)
    assert texts(folder) == ["name", "first", "second"]
    again = rig.begin()
    rig.recorder.finish()
    assert texts(again) == ["name"], "what is latched is there for the next one, too"


def test_what_is_on_its_way_at_the_end_belongs_to_it_and_the_first_end_counts(rig):
    folder = rig.begin()
    rig.recorder.end_soon(FAILURE)
    rig.hear("late")
    rig.recorder.end_soon(SUCCESS)
    assert rig.recorder.is_recording
    rig.recorder.look()
    assert not rig.recorder.is_recording
    assert read_note(folder).outcome == FAILURE and texts(folder) == ["late"]
    assert rig.recorder.summary == f"{folder}: failure, 1 messages, 0 lost"
    assert texts(_next_of(rig)) == ["late"], "it may belong to the next one"


def _next_of(rig):
    folder = rig.begin()
    rig.recorder.finish()
    return folder


def test_an_episode_that_begins_ends_the_one_before_with_an_unknown_outcome(rig):
    first = rig.begin()
    second = rig.begin()
    assert (first.name, second.name) == ("episode_000000", "episode_000001")
    assert read_note(first).outcome == UNKNOWN
    rig.recorder.finish(SUCCESS)
    rig.recorder.finish(FAILURE)
    assert read_note(second).outcome == SUCCESS


def test_messages_that_are_lost_are_told(rig):
    assert rig.recorder.report().values == {"last": "none before"}
    rig.begin()
    rig.hear("third", lost=2)
    report = rig.recorder.report()
    assert report.level == DiagnosticStatus.WARN and report.message.endswith("2 messages lost")
    assert report.values["/words received"] == 1 and report.values["/words lost"] == 2
    rig.recorder.finish()
    assert rig.log.lines[-1].endswith("1 messages, 2 lost (/words 2)")


def test_what_a_policy_says_of_an_episode_that_is_over_is_not_of_the_next_one(tmp_path):
    policy = AskedPolicy()
    rig = Rig(tmp_path, policy)
    first = rig.begin()
    answer = policy.answer
    answer(policy={"mode": "afm"})
    second = rig.begin()
    answer(policy={"mode": "sfm"})
    rig.recorder.finish()
    assert read_note(first).policy == {"mode": "afm"} and not read_note(second).policy
