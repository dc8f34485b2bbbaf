"""Finished episodes of an evaluation on disk, so that an interrupted one continues."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import MISSING, asdict, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from asyncvla_ros.common.renamed import with_present_keys
from asyncvla_ros.common.same_settings import fixed_settings, require_same_settings
from asyncvla_ros.types import AsyncVLAError

_ADVICE = "choose another --json, or delete it"

#: What may differ between a result and its repetition, and between a run and its continuation.
_FREE = ("workers", "video_dir")
_GROWING = (*_FREE, "tasks", "inits")


class EpisodeSettings(Protocol):
    """A dataclass that says what to measure."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def episodes(self) -> Collection[tuple[Any, int]]:
        """(task, initial state) of each episode."""


class Finished(Protocol):
    """A dataclass of one episode."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def task(self) -> Any:
        """Its task."""

    @property
    def init(self) -> int:
        """Its initial state."""


E = TypeVar("E", bound=Finished)


class EpisodeLog(Generic[E]):
    """One JSON line of settings, then one per episode, in ``NAME.json.partial`` beside ``NAME.json``.

    One process at a time; see ``exclusive_lock``.

    Args:
        result: Path of the final JSON.
        settings: The evaluation; tasks, initial states and workers may differ from those of the file.
        kind: Class of its episodes; the fields that are lists in JSON are tuples.

    Raises:
        AsyncVLAError: If the file, or the result that is there already, is of another evaluation.
    """

    def __init__(self, result: Path, settings: EpisodeSettings, kind: type[E]) -> None:
        self._kind = kind
        self._file = result.with_name(f"{result.name}.partial")
        self._settings = fixed_settings(asdict(settings), _GROWING)
        if result.is_file():
            _require_repetition(result, settings)
        self._episodes: list[E] = []
        self._begun = False
        if self._file.is_file():
            self._read()

    def done(self, settings: EpisodeSettings) -> tuple[E, ...]:
        """Return those episodes of ``settings`` that are finished."""
        asked = set(settings.episodes)
        return tuple(e for e in self._episodes if (e.task, e.init) in asked)

    def append(self, episode: E) -> None:
        """Note a finished episode."""
        if not self._begun:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.write_text(json.dumps(self._settings) + "\n")
            self._begun = True
        with self._file.open("a") as out:
            out.write(json.dumps(asdict(episode)) + "\n")
        self._episodes.append(episode)

    def close(self, settings: EpisodeSettings) -> None:
        """Delete the file, once the result is written, unless it has others than ``settings``."""
        if len(self.done(settings)) == len(self._episodes):
            self._file.unlink(missing_ok=True)

    def _read(self) -> None:
        text = self._file.read_text()
        if not text.endswith("\n"):
            # A kill cut the last line off; the next episode must not continue it.
            with self._file.open("a") as out:
                out.write("\n")
        first, *lines = text.splitlines() or [""]
        try:
            before: dict[str, Any] = json.loads(first, object_hook=with_present_keys)
        except json.JSONDecodeError:
            return  # cut off before any episode
        self._begun = True
        require_same_settings(before, self._settings, f"{self._file} is of another evaluation", _ADVICE)
        for line in lines:
            try:
                values = json.loads(line, object_hook=with_present_keys)
            except json.JSONDecodeError:
                continue  # cut off: that episode runs again
            self._episodes.append(self._kind(**frozen(values)))


def frozen(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return an episode's values as they were before they went to JSON: its lists are tuples."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}


def _require_repetition(result: Path, settings: EpisodeSettings) -> None:
    """Refuse to replace hours of work by those of another command."""
    try:
        before: dict[str, Any] = json.loads(result.read_text(), object_hook=with_present_keys)["settings"]
    except (ValueError, KeyError, TypeError) as error:
        raise AsyncVLAError(f"{result} is there already and no evaluation; {_ADVICE}") from error
    now = fixed_settings(asdict(settings), _FREE)
    # What an older version did not know was as it is by default.
    defaults = {field.name: field.default for field in fields(settings) if field.default is not MISSING}
    older = fixed_settings(asdict(replace(settings, **defaults)), _FREE)
    kept = older | before
    if isinstance(older.get("strategy"), dict) and isinstance(before.get("strategy"), dict):
        kept["strategy"] = older["strategy"] | before["strategy"]
    kept = {k: v for k, v in kept.items() if k in now}
    require_same_settings(kept, now, f"{result} holds another evaluation", _ADVICE)
