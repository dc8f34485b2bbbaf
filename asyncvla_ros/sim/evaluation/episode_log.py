"""Finished episodes of an evaluation on disk, so that an interrupted one continues."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from asyncvla_ros.common.same_settings import fixed_settings, require_same_settings
from asyncvla_ros.sim.evaluation.results import Episode, EvalConfig
from asyncvla_ros.types import AsyncVLAError

_ADVICE = "choose another --json, or delete it"

#: What may differ between a result and its repetition, and between a run and its continuation.
_FREE = ("workers", "video_dir")
_GROWING = (*_FREE, "tasks", "inits")


class EpisodeLog:
    """One JSON line of settings, then one per episode, in ``NAME.json.partial`` beside ``NAME.json``.

    One process at a time; see ``sole_writer``.

    Args:
        result: Path of the final JSON.
        config: The evaluation; tasks, initial states and workers may differ from those of the file.

    Raises:
        AsyncVLAError: If the file, or the result that is there already, is of another evaluation.
    """

    def __init__(self, result: Path, config: EvalConfig) -> None:
        self._file = result.with_name(f"{result.name}.partial")
        self._settings = fixed_settings(asdict(config), _GROWING)
        if result.is_file():
            _require_repetition(result, config)
        self._episodes: list[Episode] = []
        self._begun = False
        if self._file.is_file():
            self._read()

    def done(self, config: EvalConfig) -> tuple[Episode, ...]:
        """Those episodes of ``config`` that are finished."""
        asked = set(config.episodes)
        return tuple(e for e in self._episodes if (e.task, e.init) in asked)

    def append(self, episode: Episode) -> None:
        """Note a finished episode."""
        if not self._begun:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.write_text(json.dumps(self._settings) + "\n")
            self._begun = True
        with self._file.open("a") as out:
            out.write(json.dumps(asdict(episode)) + "\n")
        self._episodes.append(episode)

    def close(self, config: EvalConfig) -> None:
        """Delete the file, once the result is written, unless it has episodes that are not of ``config``."""
        if len(self.done(config)) == len(self._episodes):
            self._file.unlink(missing_ok=True)

    def _read(self) -> None:
        text = self._file.read_text()
        if not text.endswith("\n"):
            # A kill cut the last line off; the next episode must not continue it.
            with self._file.open("a") as out:
                out.write("\n")
        first, *lines = text.splitlines() or [""]
        try:
            before: dict[str, Any] = json.loads(first)
        except json.JSONDecodeError:
            return  # cut off before any episode
        self._begun = True
        require_same_settings(before, self._settings, f"{self._file} is of another evaluation", _ADVICE)
        for line in lines:
            try:
                values = json.loads(line)
            except json.JSONDecodeError:
                continue  # cut off: that episode runs again
            self._episodes.append(Episode(**{**values, "tick_ms": tuple(values["tick_ms"])}))


def _require_repetition(result: Path, config: EvalConfig) -> None:
    """Hours of work are not replaced by those of another command."""
    try:
        before: dict[str, Any] = json.loads(result.read_text())["settings"]
    except (ValueError, KeyError, TypeError) as error:
        raise AsyncVLAError(f"{result} is there already and no evaluation; {_ADVICE}") from error
    now = fixed_settings(asdict(config), _FREE)
    # What an older version did not know was as it is by default.
    kept = fixed_settings(asdict(EvalConfig(config.suite, (), ())), _FREE) | before
    kept = {k: v for k, v in kept.items() if k in now}
    require_same_settings(kept, now, f"{result} holds another evaluation", _ADVICE)
