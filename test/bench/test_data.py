"""What the bench of the loader says."""

from __future__ import annotations

import pytest

from asyncvla_ros.bench.data import DataSettings, bench_data
from support.datasets import write_dataset


@pytest.mark.parametrize("workers", [0, 2])
def test_speed_and_memory_are_measured(tmp_path, workers):
    root = write_dataset(tmp_path / "d")
    figures = bench_data(
        DataSettings((root,), workers, batches=3, batch=4, cache=tmp_path / "cache", image_size=28)
    )
    assert figures["workers"] == workers and figures["frames"] == 9
    assert figures["samples_per_s"] > 0
    assert len(figures["peak_rss_mb_by_process"]) == 1 + workers
    assert figures["peak_rss_mb"] == pytest.approx(sum(figures["peak_rss_mb_by_process"]))
    assert all(50 < peak < 5000 for peak in figures["peak_rss_mb_by_process"])
