"""What the bench of a policy says besides times, which no test asserts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from asyncvla_ros.bench.policy import STAGES, BenchSettings, bench_policy
from asyncvla_ros.model.checkpoint import load_checkpoint, save_checkpoint
from asyncvla_ros.model.onnx_export import export_onnx
from support.checkpoints import tiny_checkpoint


@pytest.mark.parametrize("mode", ["afm", "sfm"])
def test_the_inference_is_one_in_the_way_of_the_checkpoint(tmp_path: Path, mode: str):
    source = load_checkpoint(tiny_checkpoint(tmp_path / "tiny"))
    own = {"mode": mode, "best_of": 2, "choose": "mean"}
    source.model.configure(replace(source.model.config, strategy=own))
    save_checkpoint(tmp_path / "own", source)
    metrics = bench_policy(BenchSettings(tmp_path / "own", repetitions=2, recompute=False))
    assert metrics["strategy"]["best_of"] == 2 and metrics["strategy"]["denoise_steps"] == 2
    decided = metrics["inference_ms"]
    assert set(decided) == set(STAGES) and decided["prefix"]["p50"] > 0
    assert decided["rater"]["p50"] > 0
    assert mode == "afm" or decided["afm"]["p50"] == 0, "sfm refines nothing"
    assert metrics["inference_per_prefix"] > 1


def test_a_checkpoint_without_a_rater_is_timed_by_its_graphs(tmp_path: Path):
    source = load_checkpoint(tiny_checkpoint(tmp_path / "tiny"))
    source.model.attach_rater(None)
    save_checkpoint(tmp_path / "bare", source)
    export_onnx(load_checkpoint(tmp_path / "bare").model, tmp_path / "bare")
    metrics = bench_policy(BenchSettings(tmp_path / "bare", repetitions=1))
    assert metrics["engine"] == "onnx"
    assert metrics["inference_ms"]["rater"]["p50"] == 0 < metrics["inference_ms"]["sfm"]["p50"]


def test_a_network_of_a_size_refines_nothing_by_a_rater_that_knows_nothing():
    metrics = bench_policy(BenchSettings(size="nano", repetitions=1, recompute=False))
    assert metrics["inference_ms"]["afm"]["p50"] == 0 < metrics["cached_ms"]["afm"]["p50"]
    assert metrics["inference_ms"]["rater"]["p50"] > 0 and metrics["cached_ms"]["rater"]["p50"] > 0
