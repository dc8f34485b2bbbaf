from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from asyncvla_ros.common.data_record import DataRecord
from asyncvla_ros.data.episodes import Episodes
from asyncvla_ros.data.frames import ConcatenatedImages
from asyncvla_ros.model.config import RaterConfig
from asyncvla_ros.strategy import Strategy
from asyncvla_ros.training.demo_inference import DemoInference
from asyncvla_ros.training.demo_metrics import action_accuracy, calibration, refinement
from asyncvla_ros.training.demo_settings import DemoEvalSettings
from asyncvla_ros.training.evaluate_demos import _without_plan, evaluation_frames
from asyncvla_ros.types import ActionChunk, AsyncVLAError, StageTimes

NAMES = ("dx", "dy", "gripper")
SETTINGS = DemoEvalSettings(data=(), checkpoint=Path())


def _episodes(count: int, length: int, *digests: str) -> Episodes:
    """``count`` equal episodes, in one dataset or in as many as there are digests."""
    frames = count * length
    parts = np.split(np.zeros((frames, 1, 2, 2, 3), np.uint8), len(digests) or 1)
    return Episodes(
        images=ConcatenatedImages(parts),
        state=np.zeros((frames, 1), np.float32),
        actions=np.zeros((frames, 3), np.float32),
        privileged=None,
        episode=np.repeat(np.arange(count), length),
        last=np.repeat(np.arange(count) * length + length - 1, length),
        instruction=np.zeros(frames, int),
        instructions=("wait",),
        datasets=tuple((digest, count // len(digests)) for digest in digests),
    )


def _answer(
    confidence: np.ndarray | None,
    refined: list[bool],
    variance: np.ndarray | None = None,
    actions: np.ndarray | None = None,
) -> ActionChunk:
    actions = np.zeros((len(refined), 3), np.float32) if actions is None else actions
    return ActionChunk(actions, confidence, np.array(refined), 0, StageTimes(0, 0, 0, 0, 0), variance)


def _inference(episode: int, answer: ActionChunk, draft: ActionChunk | None = None) -> DemoInference:
    """Beside a demonstration of zeros."""
    return DemoInference(episode, np.zeros((len(answer.refined), 3)), draft or answer, answer)


def _refined(
    sfm: np.ndarray, afm: np.ndarray, refined: list[bool], episodes: list[int]
) -> list[DemoInference]:
    return [
        _inference(number, _answer(None, refined, actions=after), _answer(None, refined, actions=before))
        for number, before, after in zip(episodes, sfm, afm, strict=True)
    ]


def test_errors_are_per_dof_and_per_step_and_the_gripper_counts_by_its_side() -> None:
    demonstrated = np.zeros((2, 2, 3))
    demonstrated[..., 2] = [1.0, -1.0]
    actions = np.zeros((2, 2, 3))
    actions[:, 1, 0], actions[:, :, 1] = 0.4, -0.2
    actions[..., 2] = [[0.3, -0.9], [-0.1, -0.9]]
    metrics = action_accuracy(actions, demonstrated, NAMES, gripper_middle=0.0)
    assert metrics["mae_per_dof"] == pytest.approx({"dx": 0.2, "dy": 0.2, "gripper": 0.5})
    assert metrics["mae_per_step"] == pytest.approx([0.1, 0.3])
    assert metrics["mae"] == pytest.approx(0.2)
    assert (metrics["gripper_accuracy"], metrics["gripper_accuracy_per_step"]) == (0.75, [0.5, 1.0])


def test_refinement_is_judged_on_the_refined_actions_only() -> None:
    sfm = np.full((2, 2, 3), 0.5)
    afm = np.array([[[0.5, 0.5, 0.5], [0.1, 0.3, 9.0]], [[7.0, 7.0, 7.0], [0.3, 0.5, 9.0]]])
    metrics = refinement(_refined(sfm, afm, [False, True], [3, 8]), NAMES)
    assert metrics is not None and metrics["gain_ci95"] is None
    assert (metrics["share"], metrics["mae_before"], metrics["mae_after"]) == pytest.approx((0.5, 0.5, 0.3))
    many = (np.tile(x, (3, 1, 1)) for x in (sfm, afm))
    of_many = refinement(_refined(*many, [False, True], list(range(6))), NAMES)
    assert of_many is not None and of_many["mae_after"] == pytest.approx(0.3)
    # 0.5 becomes 0.2 in one half of the episodes and 0.4 in the other.
    low, high = of_many["gain_ci95"]
    assert 0.1 <= low < 0.2 < high <= 0.3
    assert refinement(_refined(sfm, afm, [False, False], [3, 8]), NAMES) is None


def test_a_confidence_that_equals_the_label_is_calibrated() -> None:
    error = np.random.default_rng(0).exponential(size=(50, 8))
    config, numbers = RaterConfig(error_scale=1.0), (np.arange(50) // 5).tolist()
    answers = [_answer(row, [False] * 8) for row in 1 / (1 + error)]
    metrics = calibration(list(map(_inference, numbers, answers)), error, config, seed=0)
    assert metrics is not None
    assert metrics["auroc_worst_quarter"] == 1 and metrics["n"] == 400
    assert metrics["ece"] == pytest.approx(0, abs=1e-6)
    assert "auroc_worst_quarter_variance" not in metrics
    answers = [replace(answer, variance=-row) for answer, row in zip(answers, error, strict=True)]
    beside = calibration(list(map(_inference, numbers, answers)), error, config, seed=0)
    assert beside is not None and beside == {**beside, **metrics}
    assert beside["auroc_worst_quarter_variance"] == 0 and beside["auroc_gain_over_variance_ci95"] == [1, 1]
    unrated = _inference(0, _answer(None, [False] * 8))
    assert calibration([unrated], error[:1], config, seed=0) is None


def test_only_episodes_that_trained_nothing_and_whole_chunks_are_compared() -> None:
    episodes = _episodes(count=40, length=10)
    policy = episodes.record((), holdout=0.1)
    # One in ten is held out (9, 19, 29, 39), and of those the rater learns from all but every third.
    assert set(episodes.episode[evaluation_frames(episodes, (policy, policy), SETTINGS, 8)]) == {29}
    assert evaluation_frames(episodes, (policy, None), SETTINGS, 8).tolist() == [
        *(90, 91, 92),
        *(190, 191, 192),
        *(290, 291, 292),
        *(390, 391, 392),
    ]
    unseen, other = replace(SETTINGS, unseen=True), _episodes(count=30, length=10).record((), holdout=0.1)
    assert len(evaluation_frames(episodes, (other, other), unseen, 8)) == 120
    assert len(evaluation_frames(episodes, (None, None), replace(unseen, frames=7), 8)) == 7
    # Fresh to the policy, but two in three trained its rater.
    rated = episodes.record((), holdout=0)
    assert set(episodes.episode[evaluation_frames(episodes, (other, rated), unseen, 8)]) == set(
        range(2, 40, 3)
    )
    with pytest.raises(AsyncVLAError, match=r"trained on 40 episodes .* not unseen; leave --unseen out"):
        evaluation_frames(episodes, (policy, policy), unseen, 8)
    with pytest.raises(AsyncVLAError, match="none of 40 episodes trained neither policy nor rater and is as"):
        evaluation_frames(episodes, (policy, None), SETTINGS, 11)


def test_demonstrations_have_no_plan_that_could_be_handed_over() -> None:
    assert _without_plan(Strategy(), {"handover": "commit", "mode": "sfm"}).handover == "switch"
    with pytest.raises(AsyncVLAError, match="handover is 'keep', but demonstrations have no plan"):
        _without_plan(Strategy(handover="keep"), {})
    with pytest.raises(AsyncVLAError, match="choose is 'coherent', but"):
        _without_plan(Strategy(best_of=4, choose="coherent"), {})


def test_data_of_which_a_part_trained_something_are_not_fresh() -> None:
    trained = _episodes(20, 10, "a", "b").record((), 0.1)
    assert trained.datasets == (("a", 10), ("b", 10))
    unseen = replace(SETTINGS, unseen=True)
    for digests in (("b", "a"), ("b",), ("a", "b", "c"), ("c", "a")):
        some = _episodes(10 * len(digests), 10, *digests)
        with pytest.raises(AsyncVLAError, match=r"the policy was trained on 20 episodes.*some of that"):
            evaluation_frames(some, (trained, None), unseen, 8)
        with pytest.raises(AsyncVLAError, match=r"the rater learned from 20 episodes.*in the same order"):
            evaluation_frames(some, (None, trained), unseen, 8)
    # As many frames in each dataset, but others; unless they trained the policy with which this one began.
    others = _episodes(20, 10, "c", "d")
    heir = replace(trained, before=others.record((), 0))
    with pytest.raises(AsyncVLAError, match=r"the policy was trained on 20 episodes.*some of that"):
        evaluation_frames(others, (DataRecord.from_dict(heir.to_dict(), "here"), None), unseen, 8)
    assert len(evaluation_frames(others, (trained, trained), unseen, 8)) == 60


@pytest.mark.parametrize(
    ("trained_on", "message"),
    [
        (None, "does not say what data trained it"),
        (
            _episodes(39, 10).record((Path("a/cups"),), 0.1),
            r"trained on 39 episodes .*cups.*, but the data given",
        ),
        (_episodes(40, 10).record((), 0.0), "trained on all of the data"),
    ],
)
def test_data_of_which_it_is_not_known_what_was_seen_are_refused(trained_on, message) -> None:
    with pytest.raises(AsyncVLAError, match=message):
        evaluation_frames(_episodes(40, 10), (trained_on, None), SETTINGS, 8)
