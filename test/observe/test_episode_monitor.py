from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from asyncvla_ros.common.normalization import NormStats
from asyncvla_ros.observe.episode_monitor import (
    LIMITS,
    EpisodeLimits,
    EpisodeMonitor,
    disagreement,
    fit_limits,
    load_limits,
    save_limits,
    scores,
    signals_of,
)
from asyncvla_ros.types import ActionChunk, CheckpointError, Previous, StageTimes

LIMIT = EpisodeLimits({"surprise": (1.0, 0.5), "doubt": (0.2, 0.1)}, limit=2.0, window=2)


def chunk(actions: np.ndarray, **changes: object) -> ActionChunk:
    known = {"confidence": None, "refined": np.zeros(len(actions), bool), "n_frozen": 0}
    return ActionChunk(actions, times=StageTimes(0, 0, 0, 0, 0), **{**known, **changes})  # type: ignore[arg-type]


def test_the_score_is_the_largest_standardized_running_mean():
    monitor = EpisodeMonitor(LIMIT)
    # (2 - 1) / 0.5 and (0.3 - 0.2) / 0.1
    first = monitor.note({"surprise": 2.0, "doubt": 0.3})
    assert (first.score, first.signal, first.value) == pytest.approx((2.0, "surprise", 2.0))
    assert first.allowed == pytest.approx(2.0) and not first.is_doubtful
    second = monitor.note({"surprise": 3.0, "doubt": None})
    assert (second.score, second.value) == pytest.approx((3.0, 2.5)) and second.is_doubtful
    # Of surprise, only the last two count: (3 + 1) / 2.
    assert monitor.note({"surprise": 1.0}).score == pytest.approx(2.0)
    monitor.reset()
    assert monitor.note({"doubt": 0.5}).signal == "doubt"


def test_a_signal_that_is_known_no_more_is_forgotten():
    """While the arm is held there is no plan before, and nothing that a plan could contradict."""
    monitor = EpisodeMonitor(
        EpisodeLimits({"disagreement": (0.0, 1.0), "surprise": (0.0, 1.0)}, 1.0, window=3)
    )
    assert monitor.note({"disagreement": 9.0, "surprise": 0.1}).is_doubtful
    held = [monitor.note({"disagreement": None, "surprise": 0.1}) for _ in range(3)]
    assert [doubt.is_doubtful for doubt in held] == [True, True, False] and held[-1].signal == "surprise"
    assert monitor.note({"disagreement": 1.2, "surprise": 0.1}).value == 1.2


def test_a_doubt_says_what_it_is_about():
    monitor = EpisodeMonitor(LIMIT)
    assert str(monitor.note({"surprise": 3.2})) == (
        "the observation is unlike those that the policy was trained on: surprise 3.2, limit 2"
    )
    monitor.reset()
    nothing = monitor.note({"surprise": None, "disagreement": 9.0, "doubt": float("nan")})
    assert not nothing.is_doubtful and "nothing is known" in str(nothing)


def test_about_a_twentieth_of_episodes_like_the_calibrating_ones_exceed_the_limit():
    rng = np.random.default_rng(0)

    def episodes(count: int, shift: float = 0.0) -> list[list[dict[str, float | None]]]:
        return [
            [{"surprise": rng.normal(1 + shift, 0.3), "doubt": rng.normal(0.2, 0.1)} for _ in range(25)]
            for _ in range(count)
        ]

    limits = fit_limits(episodes(400))
    assert (limits.episodes, limits.window, set(limits.signals)) == (400, 4, {"surprise", "doubt"})
    assert limits.signals["surprise"] == pytest.approx((1.0, 0.3), abs=0.02)
    alarms = np.mean([scores(limits, episode).max() > limits.limit for episode in episodes(400)])
    assert 0.02 <= alarms <= 0.08
    assert all(scores(limits, episode).max() > limits.limit for episode in episodes(20, shift=1.5))


def test_with_too_few_episodes_none_of_them_exceeds_the_limit():
    few: list[list[dict[str, float | None]]] = [[{"surprise": value}] for value in (1.0, 2.0, 4.0)]
    limits = fit_limits(few, window=1)
    assert [scores(limits, episode).max() <= limits.limit for episode in few] == [True] * 3
    assert limits.allowed("surprise") == pytest.approx(4.0)


def test_plans_disagree_where_they_overlap_as_they_were_generated():
    stats = NormStats.of(np.array([[-2.0], [2.0]]))
    older, newer = np.zeros((2, 1)), np.array([[2.0], [4.0], [99.0]])
    # In standard deviations of 2: 1 and 2.
    assert disagreement(Previous(older, 0), chunk(newer), stats) == pytest.approx((1 + 4) / 2)
    # What was executed of an ensemble is not what was generated.
    told = Previous(newer, 0, drafts=(np.full((1, 1), 50.0), older))
    assert disagreement(told, chunk(newer * 0, draft=newer), stats) == pytest.approx((1 + 4) / 2)
    assert disagreement(None, chunk(newer), stats) is None
    # What was kept cannot disagree.
    kept = {"kept": np.array([True, False, False])}
    assert disagreement(Previous(older, 1), chunk(newer, **kept), stats) == pytest.approx(4)
    assert disagreement(Previous(older, 1), chunk(newer, n_frozen=1), stats) == pytest.approx(4)
    assert disagreement(Previous(older, 2), chunk(newer, n_frozen=2), stats) is None


def test_signals_of_a_chunk_are_means_over_its_actions():
    known = {"confidence": np.array([0.5, 0.9]), "variance": np.array([0.1, 0.3])}
    made = chunk(np.zeros((2, 1)), **known, surprise=2.0, disagreement=0.7)
    expected = {"surprise": 2.0, "disagreement": 0.7, "doubt": 0.3, "variance": 0.2}
    assert signals_of(made) == pytest.approx(expected)
    assert set(signals_of(chunk(np.zeros((2, 1)))).values()) == {None}


def test_limits_survive_a_file(tmp_path: Path):
    assert load_limits(tmp_path) is None
    save_limits(tmp_path, LIMIT)
    assert load_limits(tmp_path) == LIMIT


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"signals": {"mood": [0, 1]}}, r"a monitor of \['mood'\], choose of"),
        ({"signals": {"doubt": [0, 0]}}, "doubt is 0.0 and 0.0"),
        ({"signals": {"doubt": 3}}, "holds no limits of a monitor"),
        ({"limit": float("inf")}, "limit is inf, expected a number"),
        ({"window": 0}, "window is 0, expected at least 1 inference"),
        ({"color": "red"}, "holds no limits of a monitor"),
    ],
)
def test_limits_that_make_no_sense_are_refused(tmp_path: Path, change: dict[str, object], problem: str):
    save_limits(tmp_path, LIMIT)
    values = json.loads((tmp_path / LIMITS).read_text())
    (tmp_path / LIMITS).write_text(json.dumps({**values, **change}))
    with pytest.raises(CheckpointError, match=problem):
        load_limits(tmp_path)
