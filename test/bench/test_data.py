"""What the bench of the loader says."""

from __future__ import annotations

import pytest

from asyncvla_ros.bench.data import DataSettings, bench_data
from support.datasets import write_dataset


@pytest.mark.parametrize("workers", [0, 2])
def test_speed_and_memory_are_measured(tmp_path, workers):
    root = write_dataset(tmp_path / "d")
    metrics = bench_data(
        DataSettings((root,), workers, batches=3, batch=4, cache=tmp_path / "cache", image_size=28)
    )
    assert metrics["workers"] == workers and metrics["frames"] == 9
    assert metrics["samples_per_s"] > 0
    assert len(metrics["peak_rss_mb_by_process"]) == 1 + workers
    assert metrics["peak_rss_mb"] == pytest.approx(sum(metrics["peak_rss_mb_by_process"]))
    assert all(50 < peak < 5000 for peak in metrics["peak_rss_mb_by_process"])
