from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from asyncvla_ros.sim.episode_log import EpisodeLog
from asyncvla_ros.sim.results import Episode, EvalConfig
from asyncvla_ros.strategy import Strategy
from asyncvla_ros.types import AsyncVLAError

CONFIG = EvalConfig("libero_object", (0, 1), (0, 1))
FIRST = Episode(0, 1, True, 90, (10.0, 12.5), 0.25, 0.75, 1.5, 2.5)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    return tmp_path


def test_a_rerun_knows_what_is_finished(tmp_path: Path, checkpoint: Path) -> None:
    EpisodeLog(tmp_path / "eval.json", CONFIG, checkpoint).append(FIRST)
    with (tmp_path / "eval.partial.jsonl").open("a") as out:
        out.write('{"task": 1, "in')  # as a kill leaves it
    more = replace(CONFIG, inits=(0, 1, 2), workers=8)
    log = EpisodeLog(tmp_path / "eval.json", more, checkpoint)
    assert log.done(more) == (FIRST,)
    assert log.done(replace(CONFIG, tasks=(1,))) == ()
    log.close()
    assert EpisodeLog(tmp_path / "eval.json", CONFIG, checkpoint).done(CONFIG) == ()


def test_another_evaluation_is_refused_with_the_difference(tmp_path: Path, checkpoint: Path) -> None:
    EpisodeLog(tmp_path / "eval.json", CONFIG, checkpoint)
    with pytest.raises(AsyncVLAError, match="seed: 0 there, 1 here"):
        EpisodeLog(tmp_path / "eval.json", replace(CONFIG, seed=1), checkpoint)
    with pytest.raises(AsyncVLAError, match="'sfm'"):
        EpisodeLog(tmp_path / "eval.json", replace(CONFIG, strategy=Strategy("sfm")), checkpoint)
    (checkpoint / "model.safetensors").write_bytes(b"other")
    with pytest.raises(AsyncVLAError, match="weights"):
        EpisodeLog(tmp_path / "eval.json", CONFIG, checkpoint)
