from __future__ import annotations

from types import SimpleNamespace

import pytest

from asyncvla_ros.ros import repeated_warning
from asyncvla_ros.ros.repeated_warning import RepeatedWarning


@pytest.fixture
def clock(monkeypatch):
    now = SimpleNamespace(s=100.0)
    monkeypatch.setattr(repeated_warning.time, "monotonic", lambda: now.s)
    return now


@pytest.fixture
def said():
    return []


@pytest.fixture
def warning(said):
    return RepeatedWarning(SimpleNamespace(get_logger=lambda: SimpleNamespace(warning=said.append)))


def test_it_is_said_at_once_and_then_less_and_less_often(clock, said, warning):
    written = []
    for second in range(300):
        clock.s = 100.0 + second
        if warning.say(f"joint_states is {second}.5 s old"):
            written.append(second)
    assert written == [0, 2, 6, 14, 30, 62, 122, 182, 242]
    assert len(said) == len(written)


def test_another_warning_is_news(clock, said, warning):
    for text in ("a 1", "b 1", "b 2"):
        warning.say(text)
    assert said == ["a 1", "b 1"]


def test_what_was_mended_meanwhile_is_news(clock, said, warning):
    warning.say("a")
    clock.s += 20.0
    assert warning.say("a") and said == ["a", "a"]
