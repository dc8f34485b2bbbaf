"""The state of a run on disk: what a kill leaves behind, and what a rerun goes on from."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from asyncvla_ros.common.exclusive_lock import exclusive_lock
from asyncvla_ros.common.renamed import with_present_keys
from asyncvla_ros.common.same_settings import fixed_settings, require_same_settings
from asyncvla_ros.model.rater_config import FORMER_LABELS

#: Present name of a setting by that of older versions.
_RENAMED = {"fresh": "unseen"}


class RunState:
    """How far a run is, and where the state is from which it goes on.

    Args:
        folder: Of the run.
        settings: All that decides what is learned, and more.
        free: Names of the settings that may differ between a run and its continuation.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], free: Collection[str] = ()) -> None:
        self._folder = folder / "state"
        self._settings = fixed_settings(settings, free)

    def resume(self, load: Callable[[Path], None]) -> int:
        """Restore a run where it stopped; returns the steps done, 0 for a new run.

        Args:
            load: Reads the state in a folder.

        Raises:
            AsyncVLAError: If the folder holds a run with other settings.
        """
        file = self._folder / "progress.json"
        if not file.is_file():
            return 0
        progress = json.loads(file.read_text())
        found = f"{self._folder} holds a run with other settings"
        require_same_settings(_renamed(progress["settings"]), self._settings, found, "choose another --out")
        load(self._folder / progress["state"])
        return int(progress["step"])

    def save(self, step: int, save: Callable[[Path], None]) -> None:
        """Write the state; a kill at any moment leaves the previous or the new one, never a mixture.

        Args:
            step: Steps done.
            save: Writes the state into a new folder; in every process, where several write together.
        """
        name = f"step_{step:07d}"
        is_main = os.environ.get("RANK", "0") == "0"
        if is_main:
            self._folder.mkdir(parents=True, exist_ok=True)
            # What a kill left half written.
            shutil.rmtree(self._folder / name, ignore_errors=True)
        save(self._folder / name)
        if not is_main:
            return
        progress = self._folder / "progress.json"
        partial = progress.with_suffix(".partial")
        partial.write_text(json.dumps({"step": step, "state": name, "settings": self._settings}, indent=1))
        partial.replace(progress)
        for old in self._folder.glob("step_*"):
            if old.name != name:
                shutil.rmtree(old)


def _renamed(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings of an older version by their present names."""
    values = with_present_keys(settings, _RENAMED)
    if "label" in values:
        values["label"] = FORMER_LABELS.get(values["label"], values["label"])
    return values


def lock_run(folder: Path) -> contextlib.AbstractContextManager[None]:
    """Lock ``folder`` for the process that begins a run there: two would delete each other's states.

    Raises:
        AsyncVLAError: If another run is in progress there.
    """
    if os.environ.get("RANK", "0") != "0":
        return contextlib.nullcontext()
    return exclusive_lock(folder / ".lock", f"a training into {folder}")
