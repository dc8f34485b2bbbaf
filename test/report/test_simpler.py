from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asyncvla_ros.common.shard import Shard
from asyncvla_ros.report import report
from asyncvla_ros.report.results import load
from asyncvla_ros.report.shards import bridge_metrics, merge_shards
from asyncvla_ros.sim.evaluation.inference import Inference
from asyncvla_ros.sim.simpler import fractal_results as fractal
from asyncvla_ros.sim.simpler.bridge.results import EXPERT, BridgeEpisode, BridgeSettings, summarize
from asyncvla_ros.strategy import Strategy
from asyncvla_ros.types import ActionChunk, AsyncVLAError, StageTimes

NO_TICKS = {"p50": 0.0, "p95": 0.0}
#: In another order than that of the alphabet, as a user may ask for them.
CONFIG = BridgeSettings(("spoon", "carrot"), (2, 0, 1), seed=3, checkpoint="4f2a77")


def episode(task: str, init: int) -> BridgeEpisode:
    """One whose every figure differs from those of the others."""
    k = init + 3 * (task == "carrot")
    return BridgeEpisode(task, init, 3, 60 + k, k > 3, k > 1, (10.0 + k, 30.0 - k))


def answer(ms: float) -> ActionChunk:
    """Make a chunk of four actions, one of them refined, after so many ms."""
    refined = np.arange(4) == 3
    return ActionChunk(np.zeros((4, 7)), None, refined, n_frozen=0, times=StageTimes(0, 0, 0, 0, total=ms))


def write(file: Path, config: BridgeSettings, **changes: Any) -> dict[str, Any]:
    result = summarize([episode(*pair) for pair in config.episodes], config)
    file.write_text(json.dumps({**result, **changes}))
    return json.loads(json.dumps(result))


def write_shards(folder: Path, count: int, config: BridgeSettings = CONFIG) -> None:
    for index in range(1, count + 1):
        write(folder / f"bridge_{index}.json", replace(config, shard=Shard(index, count)))


def page(folder: Path) -> str:
    return report(folder, folder / "out" / "results.md")[0].read_text()


@pytest.mark.parametrize("count", [2, 4, 6])
def test_shards_of_bridge_have_the_metrics_and_the_order_of_the_whole(tmp_path: Path, count: int) -> None:
    write_shards(tmp_path, count)
    (merged,) = merge_shards(load(tmp_path)["bridge"], bridge_metrics)
    whole = write(tmp_path / "whole.json", CONFIG)
    assert "shard_episodes" not in whole and list(whole["per_task"]) == ["spoon", "carrot"]
    assert list(merged.values["per_task"]) == list(whole["per_task"])
    del whole["settings"]["shard"]
    assert merged.values == whole


def test_the_page_has_both_successes_of_bridge_by_task_and_together(tmp_path: Path) -> None:
    write_shards(tmp_path, 3)
    write(
        tmp_path / "scripted.json",
        replace(CONFIG, tasks=("spoon",), checkpoint=EXPERT),
        inference_ms=NO_TICKS,
    )
    text = page(tmp_path)
    rows = (
        "spoon | 4f2a | afm | 3 | 0.0% (0.0% to 56.1%) | 33.3% (6.1% to 79.2%) | - |",
        "carrot | 4f2a | afm | 3 | 66.7% (20.8% to 93.9%) | 100.0% (43.9% to 100.0%) | - |",
        "all | 4f2a | afm | 6 | 33.3% (9.7% to 70.0%) | 66.7% (30.0% to 90.3%) | 20 / 29 |",
    )
    for row in rows:
        assert f"| bridge_1 to bridge_3 | Bridge | {row}" in text
    assert "| scripted | Bridge | spoon | expert | - | 3 | 0.0% (0.0% to 56.1%) |" in text
    assert text.count("| scripted |") == 1 and "## Success" not in text and "from 4 files" in text


def test_the_page_has_both_successes_of_fractal(tmp_path: Path) -> None:
    config = fractal.FractalSettings("google_robot_pick_coke_can", 4, Strategy("sfm"))
    inferences = tuple(Inference(0, 0, "pick coke can", answer(ms)) for ms in (20.0, 40.0))
    episodes = [
        fractal.FractalEpisode(i, "pick coke can", i > 2, i > 1, steps=80, inferences=inferences)
        for i in range(4)
    ]
    result = fractal.summarize(episodes, config, {"checkpoint": "77b0aa"}, 513)
    (tmp_path / "coke.json").write_text(json.dumps(result))
    text = page(tmp_path)
    assert "| coke | google_robot_pick_coke_can | 77b0 | sfm | - | 1/4 | 25.0% (4.6% to 69.9%) |" in text
    row = "77b0 | sfm | 4 | 25.0% (4.6% to 69.9%) | 50.0% (15.0% to 85.0%) | 30 / 40 |"
    assert f"| coke | Fractal | google_robot_pick_coke_can | {row}" in text


def test_a_missing_shard_of_bridge_is_named(tmp_path: Path) -> None:
    write_shards(tmp_path, 3)
    (tmp_path / "bridge_2.json").unlink()
    with pytest.raises(AsyncVLAError, match=r"bridge_1, bridge_3: shard 2/3 is missing; run it"):
        page(tmp_path)


def test_a_shard_of_other_settings_is_named_with_the_difference(tmp_path: Path) -> None:
    write_shards(tmp_path, 2)
    write(tmp_path / "bridge_2.json", replace(CONFIG, strategy=Strategy("sfm"), shard=Shard(2, 2)))
    with pytest.raises(AsyncVLAError, match=r"bridge_2 is shard 2/2, but of another evaluation .*'sfm'"):
        page(tmp_path)
