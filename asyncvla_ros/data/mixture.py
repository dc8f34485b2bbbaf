"""Datasets of one training run: their episodes, weights and robots."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from asyncvla_ros.common.normalization import MIN_DELTA_STD, MIN_STD, NormStats
from asyncvla_ros.data.columns import Columns
from asyncvla_ros.data.contracts import spec_contract
from asyncvla_ros.data.dataset import dataset_info
from asyncvla_ros.data.episodes import Episodes, joined_episodes, read_datasets
from asyncvla_ros.data.spec import DatasetSpec, dataset_specs
from asyncvla_ros.data.statistics import Summary, pooled
from asyncvla_ros.types import AsyncVLAError, FeatureContract

STATISTICS_FILE = "statistics.json"


@dataclass(frozen=True)
class Robot:
    """A robot: datasets with the same feature contract, with shared statistics."""

    name: str
    features: FeatureContract
    state_stats: NormStats
    action_stats: NormStats


@dataclass(frozen=True)
class Mixture:
    """The data of a training run.

    Attributes:
        episodes: Episodes of all datasets.
        robots: Their robots, in order of first occurrence.
        robot_of: Per dataset, the index of its robot in ``robots``.
        weights: Per dataset, how often its frames occur in an epoch.
        privileged: Statistics of the simulator quantities; None without them.
        summaries: Per dataset, its name and the statistics of its state and action.
    """

    episodes: Episodes
    robots: tuple[Robot, ...]
    robot_of: tuple[int, ...]
    weights: tuple[float, ...]
    privileged: NormStats | None = None
    summaries: tuple[tuple[str, Mapping[str, Summary]], ...] = ()

    @staticmethod
    def of_one_robot(episodes: Episodes, robot: Robot) -> Mixture:
        """Make a mixture of one robot's datasets, all with weight 1."""
        count = len(episodes.images.lengths)
        return Mixture(episodes, (robot,), (0,) * count, (1.0,) * count)


def robot_contracts(paths: Sequence[Path], action_space: str) -> dict[FeatureContract, list[DatasetSpec]]:
    """Return the feature contracts in some data with the datasets of each, in order of first occurrence.

    Args:
        paths: As in ``dataset_specs``.
        action_space: Action space of datasets that do not name theirs.

    Raises:
        AsyncVLAError: If a dataset is missing or has another format, datasets of one robot differ in
        conventions, or some have more cameras than others.
    """
    contracts: dict[FeatureContract, list[DatasetSpec]] = {}
    for spec in dataset_specs(paths):
        own = contracts.setdefault(spec_contract(spec, action_space), [])
        if own and dict(own[0].conventions) != dict(spec.conventions):
            raise AsyncVLAError(
                f"{own[0].name} and {spec.name} are of one robot, but have the conventions "
                f"{dict(own[0].conventions)} and {dict(spec.conventions)}; make them alike with "
                "invert_gripper and rotate_180 of a data.yaml"
            )
        own.append(spec)
    cameras = {len(contract.cameras): specs[0] for contract, specs in contracts.items()}
    if len(cameras) > 1:
        found = ", ".join(f"{spec.name} has {count}" for count, spec in cameras.items())
        raise AsyncVLAError(
            f"datasets that are trained on together must have as many cameras each, but {found}; choose with "
            "select_video_keys of a data.yaml"
        )
    return contracts


def load_mixture(
    paths: Sequence[Path],
    image_size: int,
    cache: Path,
    action_space: str,
    *,
    skip_broken: bool = False,
    decode: str = "ahead",
) -> Mixture:
    """Read the datasets of a training run; arguments as in ``load_episodes`` and ``robot_contracts``.

    Raises:
        AsyncVLAError: As those two do.
    """
    contracts = robot_contracts(paths, action_space)
    specs = dataset_specs(paths)
    columns, images = read_datasets(specs, image_size, cache, decode, skip_broken=skip_broken)
    robots: list[Robot] = []
    robot_of = [0] * len(specs)
    for features, own in contracts.items():
        places = [place for place, spec in enumerate(specs) if spec in own]
        for place in places:
            robot_of[place] = len(robots)
        taken = {robot.name for robot in robots}
        robots.append(_robot(_name(own[0], taken), features, [columns[place] for place in places]))
    with_privileged = [one for one in columns if one.privileged is not None]
    privileged = None
    if len(with_privileged) == len(columns):
        arrays = [one.privileged for one in with_privileged if one.privileged is not None]
        privileged = pooled([one.summaries["privileged"] for one in columns], arrays).norm_stats()
    return Mixture(
        joined_episodes(columns, images),
        tuple(robots),
        tuple(robot_of),
        tuple(spec.weight for spec in specs),
        privileged=privileged,
        summaries=tuple((spec.name, one.summaries) for spec, one in zip(specs, columns, strict=True)),
    )


def _robot(name: str, features: FeatureContract, columns: Sequence[Columns]) -> Robot:
    floor = MIN_DELTA_STD if features.action_space.startswith("delta_") else MIN_STD
    state = pooled([one.summaries["state"] for one in columns], [one.state for one in columns])
    action = pooled([one.summaries["action"] for one in columns], [one.action for one in columns])
    return Robot(name, features, state.norm_stats(), action.norm_stats(floor))


def _name(spec: DatasetSpec, taken: set[str]) -> str:
    """Return a name for a dataset's robot that is also valid for a folder."""
    given = dataset_info(spec.root).robot_type or spec.name
    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", given).strip("._") or "robot"
    candidates = (name, *(f"{name}_{number}" for number in range(2, len(taken) + 2)))
    return next(one for one in candidates if one not in taken)


def write_statistics(mixture: Mixture, folder: Path) -> None:
    """Write the statistics of each robot, which scale it, and of each dataset beside a run."""
    robots = {
        robot.name: {"state": robot.state_stats.to_dict(), "action": robot.action_stats.to_dict()}
        for robot in mixture.robots
    }
    datasets = [
        {
            "name": name,
            "robot": mixture.robots[mixture.robot_of[number]].name,
            "weight": mixture.weights[number],
            "frames": summaries["state"].moments.count,
            **{key: summaries[key].norm_stats().to_dict() for key in ("state", "action")},
        }
        for number, (name, summaries) in enumerate(mixture.summaries)
    ]
    values = {"robots": robots, "datasets": datasets}
    (folder / STATISTICS_FILE).write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
