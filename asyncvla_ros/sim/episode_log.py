"""Finished episodes of an evaluation on disk, so that an interrupted one continues."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from asyncvla_ros.sim.results import Episode, EvalConfig
from asyncvla_ros.types import AsyncVLAError

#: What may differ between a run and its continuation.
_FREE = ("tasks", "inits", "workers", "video_dir")


class EpisodeLog:
    """One JSON line of settings, then one per episode, in ``NAME.partial.jsonl`` beside ``NAME.json``.

    Args:
        result: Path of the final JSON.
        config: The evaluation; tasks, initial states and workers may differ from those of the file.

    Raises:
        AsyncVLAError: If the file is of another evaluation.
    """

    def __init__(self, result: Path, config: EvalConfig) -> None:
        self._file = result.with_suffix(".partial.jsonl")
        settings = {k: v for k, v in asdict(config).items() if k not in _FREE}
        self._settings = json.loads(json.dumps(settings, default=str))
        self._episodes: list[Episode] = []
        if self._file.is_file() and self._file.stat().st_size:
            self._read()
        else:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.write_text(json.dumps(self._settings) + "\n")

    def done(self, config: EvalConfig) -> tuple[Episode, ...]:
        """Those episodes of ``config`` that are finished."""
        return tuple(e for e in self._episodes if e.task in config.tasks and e.init in config.inits)

    def append(self, episode: Episode) -> None:
        """Note a finished episode."""
        with self._file.open("a") as out:
            out.write(json.dumps(asdict(episode)) + "\n")

    def close(self) -> None:
        """Delete the file, once the result is written."""
        self._file.unlink()

    def _read(self) -> None:
        text = self._file.read_text()
        if not text.endswith("\n"):
            # A kill cut the last line off; the next episode must not continue it.
            with self._file.open("a") as out:
                out.write("\n")
        first, *lines = text.splitlines()
        before: dict[str, Any] = json.loads(first)
        keys = sorted(before.keys() | self._settings.keys())
        changed = [key for key in keys if before.get(key) != self._settings.get(key)]
        if changed:
            pairs = ", ".join(
                f"{k}: {before.get(k)!r} there, {self._settings.get(k)!r} here" for k in changed
            )
            raise AsyncVLAError(
                f"{self._file} is of another evaluation ({pairs}); choose another --json, or delete it"
            )
        for line in lines:
            try:
                values = json.loads(line)
            except json.JSONDecodeError:
                continue  # cut off: that episode runs again
            self._episodes.append(Episode(**{**values, "tick_ms": tuple(values["tick_ms"])}))
