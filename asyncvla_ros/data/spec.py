"""Datasets named by ``--data``: LeRobot datasets, or a data.yaml with keys, weights and episodes."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asyncvla_ros.common.yaml_file import read_yaml
from asyncvla_ros.common.yaml_section import Section
from asyncvla_ros.data.dataset import ACTION_KEY, STATE_KEY, dataset_roots, is_dataset
from asyncvla_ros.robot.contract import ACTION_SPACES
from asyncvla_ros.types import ContractError

# Value of ``root`` for the folder in which LeRobot stores downloads.
LEROBOT_HOME = "HF_LEROBOT_HOME"
_LIST, _OTHER_LIST = "lerobot_datasets", "mm_datasets"
_KEYS = (
    *(
        "repo_id",
        "root",
        "select_video_keys",
        "select_state_keys",
        "select_action_keys",
        "weight",
        "episodes",
    ),
    *("action_space", "invert_gripper", "rotate_180", "names", "conventions"),
)
_RANGE = re.compile(r"(\d+):(\d+)")


@dataclass(frozen=True)
class DatasetSpec:
    """One dataset with its options.

    Attributes:
        root: Its folder, with ``meta/info.json`` in it.
        repo_id: Its name on the hub; None if it has none.
        select_video_keys: Its cameras, in the policy's order; None: every color camera.
        select_state_keys: Features that make up the state, in order.
        select_action_keys: Features that make up the action, in order.
        weight: How often each of its frames occurs in an epoch: 2 is twice, 0.5 is half of the frames.
        episodes: Numbers of the episodes to use; None: all.
        action_space: Its action space; None: that of the run.
        invert_gripper: Whether to map the last action dim from 1 (open) and 0 (closed) to -1 and +1.
        rotate_180: Whether to rotate its images by 180 degrees.
        state_names: A name for each state dim; None: those of the dataset.
        action_names: A name for each action dim; None: those of the dataset.
        conventions: Meaning of its values for a simulator, beyond names; stored in the checkpoint.
    """

    root: Path
    repo_id: str | None = None
    select_video_keys: tuple[str, ...] | None = None
    select_state_keys: tuple[str, ...] = (STATE_KEY,)
    select_action_keys: tuple[str, ...] = (ACTION_KEY,)
    weight: float = 1.0
    episodes: tuple[int, ...] | None = None
    action_space: str | None = None
    invert_gripper: bool = False
    rotate_180: bool = False
    state_names: tuple[str, ...] | None = None
    action_names: tuple[str, ...] | None = None
    conventions: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """Short name for people: name on the hub, or of the folder."""
        return self.repo_id or self.root.resolve().name


def dataset_specs(paths: Sequence[Path]) -> tuple[DatasetSpec, ...]:
    """Read the datasets that ``--data`` names.

    Args:
        paths: data.yaml files, LeRobot datasets, and folders of LeRobot datasets.

    Raises:
        AsyncVLAError: If a path has no dataset.
        ContractError: If a data.yaml has a mistake.
    """
    specs: list[DatasetSpec] = []
    for path in paths:
        if path.suffix in (".yaml", ".yml"):
            specs += _read(path)
        else:
            specs += [DatasetSpec(root) for root in dataset_roots(path)]
    return tuple(specs)


def _read(file: Path) -> list[DatasetSpec]:
    section = Section(read_yaml(file, "list of datasets")[1], file.name, (_LIST, _OTHER_LIST))
    if section.has(_OTHER_LIST) and section.raw(_OTHER_LIST):
        raise ContractError(f"{file.name}: {_OTHER_LIST} are not supported, expected {_LIST} only")
    entries = section.items(_LIST)
    return [_spec(Section(entry, f"{file.name}: {_LIST}[{i}]", _KEYS)) for i, entry in enumerate(entries)]


def _spec(section: Section) -> DatasetSpec:
    repo_id = section.text("repo_id") if section.has("repo_id") else None
    given: dict[str, Any] = {
        key: section.names(key)
        for key in ("select_video_keys", "select_state_keys", "select_action_keys")
        if section.has(key)
    }
    given |= {key: section.flag(key) for key in ("invert_gripper", "rotate_180") if section.has(key)}
    if section.has("weight"):
        given["weight"] = section.positive("weight")
    if section.has("action_space"):
        given["action_space"] = section.text("action_space", ACTION_SPACES)
    if section.has("episodes"):
        given["episodes"] = _episodes(section.raw("episodes"), f"{section.where}.episodes")
    if section.has("names"):
        names = Section(section.raw("names"), f"{section.where}.names", ("state", "action"))
        given |= {f"{key}_names": names.names(key) for key in ("state", "action") if names.has(key)}
    if section.has("conventions"):
        given["conventions"] = _conventions(section.raw("conventions"), f"{section.where}.conventions")
    return DatasetSpec(_root(section, repo_id), repo_id, **given)


def _conventions(value: Any, where: str) -> tuple[tuple[str, str], ...]:
    given = value.items() if isinstance(value, dict) else [(None, value)]
    if not all(isinstance(text, str) for pair in given for text in pair):
        raise ContractError(f"{where}: expected texts by name, such as images: upside_down, found {value!r}")
    return tuple(given)


def _episodes(value: Any, where: str) -> tuple[int, ...]:
    if isinstance(value, str) and (match := _RANGE.fullmatch(value)):
        value = list(range(*map(int, match.groups())))
    is_numbers = isinstance(value, list) and all(type(number) is int and number >= 0 for number in value)
    if not is_numbers or not value or len(set(value)) != len(value):
        raise ContractError(
            f"{where}: expected different episode numbers such as [0, 2, 5], or a text such as '0:100' (100 "
            f"left out), found {value!r}"
        )
    return tuple(sorted(value))


def _root(section: Section, repo_id: str | None) -> Path:
    """Return the folder of a dataset: ``root`` itself, or ``repo_id`` in it or in LeRobot's own folder."""
    text = section.text("root") if section.has("root") else LEROBOT_HOME
    if repo_id is None and text == LEROBOT_HOME:
        raise ContractError(f"{section.where}: expected root, repo_id, or both, found neither")
    base = lerobot_home() if text == LEROBOT_HOME else Path(text).expanduser()
    folder = base / repo_id if repo_id else base
    for candidate in (folder, base):
        if is_dataset(candidate):
            return candidate
    fetch = f"; fetch it with `hf download {repo_id} --repo-type dataset --local-dir {folder}`"
    raise ContractError(
        f"{section.where}: there is no LeRobot dataset in {folder}, expected meta/info.json there"
        + (fetch if repo_id else "")
    )


def lerobot_home() -> Path:
    """Return the folder in which LeRobot stores datasets."""
    cache = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    return Path(os.environ.get(LEROBOT_HOME) or Path(cache) / "lerobot").expanduser()
