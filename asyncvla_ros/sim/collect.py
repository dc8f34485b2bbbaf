"""Collect what is still missing of a collection, in several processes."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from concurrent.futures import as_completed
from dataclasses import asdict
from pathlib import Path

from asyncvla_ros.common.exclusive_lock import exclusive_lock
from asyncvla_ros.common.renamed import with_present_keys
from asyncvla_ros.common.same_settings import fixed_settings, require_same_settings
from asyncvla_ros.common.shard import WHOLE
from asyncvla_ros.common.worker_pool import worker_pool
from asyncvla_ros.sim.collection import CollectSettings, PartReport, plan_parts
from asyncvla_ros.sim.libero.tasks import get_task
from asyncvla_ros.sim.record_part import collect_part
from asyncvla_ros.types import AsyncVLAError

#: What may differ between a collection and its continuation.
_FREE = ("tasks", "episodes_per_task", "out", "workers", "shard")
#: What older versions called a setting.
_RENAMED = {"episodes_per_shard": "episodes_per_part", "learner": "rollout_policy"}


def collect(settings: CollectSettings, on_part: Callable[[PartReport, int, int], None] | None = None) -> None:
    """Collect what is still missing of a collection.

    Args:
        settings: the collection.
        on_part: called after every part with its report, the parts done and the parts planned.

    Raises:
        AsyncVLAError: unknown suite or task, or another collection into or in the same folder.
        RunError: the expert fails again and again, after all other parts.
    """
    for task in settings.tasks:
        get_task(settings.suite, task)
    parts = plan_parts(settings)
    missing = [part for part in parts if not (settings.out / part.name).exists()]
    done = len(parts) - len(missing)
    lock = ".lock" if settings.shard == WHOLE else f".lock_{settings.shard.index}_of_{settings.shard.count}"
    with exclusive_lock(settings.out / lock, f"a collection into {settings.out}"):
        _require_same_collection(settings)
        for part in parts:
            _require_count(settings.out / part.name, part.count)
        if not missing:
            return
        with worker_pool(min(settings.workers, len(missing))) as pool:
            futures = [pool.submit(collect_part, settings, part) for part in missing]
            failed: BaseException | None = None
            for future in as_completed(futures):
                if error := future.exception():
                    # What can be collected is, first.
                    failed = failed or error
                    continue
                done += 1
                if on_part is not None:
                    on_part(future.result(), done, len(parts))
            if failed:
                raise failed


def _require_same_collection(settings: CollectSettings) -> None:
    """Refuse another collection in the folder: their datasets would pass for one."""
    now = fixed_settings(asdict(settings), _FREE)
    if settings.rollout_policy is not None:
        from asyncvla_ros.model.checkpoint_files import fingerprint

        now["rollout_policy"] = fingerprint(settings.rollout_policy)
    file = settings.out / "collection.json"
    if not file.is_file():
        # Whole or not at all: another shard may read it at the same time.
        partial = settings.out / f".collection.{socket.gethostname()}.{os.getpid()}.partial"
        partial.write_text(json.dumps(now, indent=1) + "\n")
        partial.replace(file)
    found = f"{settings.out} holds another collection"
    there = json.loads(file.read_text())
    # Before there were views, all were demonstrations.
    before = {"views": 0} | with_present_keys(there, _RENAMED)
    require_same_settings(before, now, found, "choose another --out")


def _require_count(root: Path, count: int) -> None:
    """Refuse a finished dataset of another length, the last of a shorter collection."""
    info = root / "meta" / "info.json"
    if info.is_file() and (found := json.loads(info.read_text())["total_episodes"]) != count:
        raise AsyncVLAError(
            f"{root} has {found} episodes, expected {count}; ask for as many episodes per task as before, "
            "or delete that dataset"
        )
