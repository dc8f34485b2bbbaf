"""What a training loop tells while it runs: a progress bar, a log file, and means over steps."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Log:
    """A progress bar for people and one JSON line per report for programs; silent on all but one process.

    Args:
        folder: Of the run; ``log.jsonl`` in it is appended to.
        title: Beside the bar.
        start: Steps that are done.
        steps: Of the whole run.
        visible: Whether this process shows and writes.
        track: Also receives each report and its ``step``.
    """

    def __init__(
        self,
        folder: Path,
        title: str,
        start: int,
        steps: int,
        *,
        visible: bool,
        track: Callable[..., None] | None = None,
    ) -> None:
        self._progress = Progress(
            TextColumn(title),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[text]}"),
            TimeRemainingColumn(),
            disable=not visible,
        )
        self._start, self._steps = start, steps
        self._track = track
        self._file = folder / "log.jsonl" if visible else None
        self._task = self._progress.add_task(title, total=steps, completed=start, text="")

    def steps(self) -> Iterator[int]:
        """Iterate over the steps still to do."""
        with self._progress:
            for step in range(self._start, self._steps):
                yield step
                self._progress.update(self._task, completed=step + 1)

    def report(self, step: int, **values: float) -> None:
        """Show and append one line.

        Args:
            step: Steps done.
            values: By name.
        """
        self._progress.update(self._task, text="  ".join(f"{k} {v:.4g}" for k, v in values.items()))
        if self._file:
            with self._file.open("a") as out:
                out.write(json.dumps({"step": step, **values}) + "\n")
        if self._track:
            self._track(values, step=step)


class StepMeans:
    """Means over the steps since the last report."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._sums: dict[str, float] = {}
        self._steps = 0
        self._began = time.perf_counter()

    def add(self, **values: float) -> None:
        """Add a step."""
        self._steps += 1
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value

    def take(self) -> dict[str, float]:
        """Return the mean of each value, and the ``seconds`` of a step; begin anew."""
        means = {name: total / self._steps for name, total in self._sums.items()}
        means["seconds"] = (time.perf_counter() - self._began) / self._steps
        self._begin()
        return means
