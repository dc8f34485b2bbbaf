from __future__ import annotations

import json
from pathlib import Path

from asyncvla_ros.training.progress import Log, StepMeans


def test_means_are_of_the_steps_since_the_last_report() -> None:
    means = StepMeans()
    means.add(loss=1.0, aux=0.5)
    means.add(loss=3.0, aux=0.5)
    first = means.take()
    assert (first["loss"], first["aux"]) == (2.0, 0.5) and first["seconds"] >= 0
    means.add(loss=5.0)
    assert means.take()["loss"] == 5.0


def test_a_continued_run_logs_where_it_stopped_and_only_on_one_process(tmp_path: Path) -> None:
    for visible in (True, False):
        log = Log(tmp_path, "train", 2, 4, visible=visible)
        for step in log.steps():
            log.report(step + 1, loss=float(step))
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines == [{"step": 3, "loss": 2.0}, {"step": 4, "loss": 3.0}]
