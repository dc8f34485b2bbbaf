from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from asyncvla_ros.common.shard import Shard
from asyncvla_ros.report import report
from asyncvla_ros.report.results import load
from asyncvla_ros.report.shards import libero_metrics, merge_shards
from asyncvla_ros.sim.evaluation.results import EpisodeResult, EvalSettings, metrics_of, summarize
from asyncvla_ros.types import AsyncVLAError

CONFIG = EvalSettings("libero_object", (0, 2), (0, 1, 2), checkpoint="4f2a")


def episode(task: int, init: int) -> EpisodeResult:
    """One whose every figure differs from those of the others."""
    k = 3 * task + init
    return EpisodeResult(
        task, init, k % 3 > 0, 80 + k, (10.0 + k, 30.0 - k), k / 10, k / 20, 1.0 * k, 2.0 * k, 0.1 * k
    )


def write(file: Path, config: EvalSettings, **changes: Any) -> None:
    result = summarize([episode(*pair) for pair in config.episodes], config)
    file.write_text(json.dumps({**result, **changes}))


def write_shards(folder: Path, count: int, config: EvalSettings = CONFIG) -> None:
    for index in range(1, count + 1):
        write(folder / f"eval_{index}.json", replace(config, shard=Shard(index, count), workers=index))


@pytest.mark.parametrize("count", [2, 3, 6])
def test_shards_have_the_metrics_of_the_whole(tmp_path: Path, count: int) -> None:
    write_shards(tmp_path, count)
    (merged,) = merge_shards(load(tmp_path)["eval"], libero_metrics)
    whole = json.loads(json.dumps(summarize([episode(*pair) for pair in CONFIG.episodes], CONFIG)))
    assert {key: merged.values[key] for key in metrics_of([episode(0, 0)])} == {
        key: whole[key] for key in metrics_of([episode(0, 0)])
    }
    assert merged.name == f"eval_1 to eval_{count}"
    settings = {key: value for key, value in whole["settings"].items() if key not in ("shard", "workers")}
    assert merged.values["settings"] == settings
    text = report(tmp_path, tmp_path / "results.md")[0].read_text()
    assert f"| eval_1 to eval_{count} | libero_object | 4f2a | afm | - | 4/6 |" in text
    assert f"from {count} files" in text


def test_whole_evaluations_and_those_of_other_seeds_stay_apart(tmp_path: Path) -> None:
    write(tmp_path / "all.json", CONFIG)
    other = tmp_path / "seed_1"
    other.mkdir()
    write_shards(other, 2, replace(CONFIG, seed=1))
    names = [source.name for source in merge_shards(load(tmp_path)["eval"], libero_metrics)]
    assert names == ["all", "seed_1/eval_1 to seed_1/eval_2"]


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    write_shards(tmp_path, 4)
    (tmp_path / "eval_2.json").unlink()
    (tmp_path / "eval_4.json").unlink()
    with pytest.raises(AsyncVLAError, match=r"eval_1, eval_3: shard 2/4, 4/4 is missing; run it"):
        report(tmp_path, tmp_path / "results.md")


def test_a_shard_of_other_settings_is_named_with_the_difference(tmp_path: Path) -> None:
    write_shards(tmp_path, 2)
    write(tmp_path / "eval_2.json", replace(CONFIG, seed=7, shard=Shard(2, 2)))
    difference = r"eval_2 is shard 2/2, but of another evaluation than eval_1 \(seed: 7 there, 0 here\)"
    with pytest.raises(AsyncVLAError, match=difference):
        report(tmp_path, tmp_path / "results.md")


def test_a_shard_counts_once(tmp_path: Path) -> None:
    write_shards(tmp_path, 2)
    (tmp_path / "again.json").write_text((tmp_path / "eval_2.json").read_text())
    with pytest.raises(AsyncVLAError, match="again and eval_2 are both shard 2/2 of one evaluation"):
        report(tmp_path, tmp_path / "results.md")


def test_shards_that_overlap_or_lack_their_episodes_are_refused(tmp_path: Path) -> None:
    write_shards(tmp_path, 2)
    second = json.loads((tmp_path / "eval_2.json").read_text())
    first = json.loads((tmp_path / "eval_1.json").read_text())
    episodes = second["shard_episodes"]
    second["shard_episodes"] = first["shard_episodes"]
    (tmp_path / "eval_2.json").write_text(json.dumps(second))
    with pytest.raises(AsyncVLAError, match="eval_1 and eval_2 both have task 0, initial state 0"):
        report(tmp_path, tmp_path / "results.md")
    second["shard_episodes"] = episodes[1:]
    (tmp_path / "eval_2.json").write_text(json.dumps(second))
    with pytest.raises(AsyncVLAError, match="eval_1 to eval_2: none has task 2, initial state 0; run them"):
        report(tmp_path, tmp_path / "results.md")
    del second["shard_episodes"]
    (tmp_path / "eval_2.json").write_text(json.dumps(second))
    with pytest.raises(AsyncVLAError, match="eval_2 is shard 2/2, but has no shard_episodes"):
        report(tmp_path, tmp_path / "results.md")


def test_shards_and_the_whole_side_by_side_count_twice(tmp_path: Path) -> None:
    write_shards(tmp_path, 2)
    write(tmp_path / "whole.json", CONFIG)
    with pytest.raises(AsyncVLAError, match=r"whole has 6 episodes .* that another file has, too"):
        report(tmp_path, tmp_path / "results.md")
