from __future__ import annotations

import fcntl
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

from asyncvla_ros.common.shard import Shard
from asyncvla_ros.data.lerobot_writer import PRIVILEGED_NAMES, dataset_features
from asyncvla_ros.sim import record_part
from asyncvla_ros.sim.collect import collect, collect_part
from asyncvla_ros.sim.collection import CollectSettings, Part, PartReport, plan_parts
from asyncvla_ros.types import AsyncVLAError, RunError
from support.checkpoints import tiny_checkpoint


def test_parts_alternate_between_tasks_and_cover_each_episode_once(tmp_path: Path) -> None:
    config = CollectSettings("libero_object", (2, 5), 7, out=tmp_path, episodes_per_part=3)
    parts = plan_parts(config)
    assert [p.name for p in parts[:3]] == ["task02_0000", "task05_0000", "task02_0003"]
    for task in (2, 5):
        episodes = [e for p in parts if p.task == task for e in range(p.first, p.first + p.count)]
        assert episodes == list(range(7))


def test_shards_share_the_parts_of_the_whole_evenly_over_the_tasks(tmp_path: Path) -> None:
    config = CollectSettings("libero_object", (2, 5), 8, out=tmp_path, episodes_per_part=2)
    shards = [plan_parts(replace(config, shard=Shard(index, 2))) for index in (1, 2)]
    assert shards[0] + shards[1] == plan_parts(config)
    for parts in shards:
        assert [part.task for part in parts] == [2, 5, 2, 5]
    with pytest.raises(AsyncVLAError, match="datasets of 2 episodes of one task are 8"):
        plan_parts(replace(config, shard=Shard(9, 9)))


@pytest.fixture
def two_tasks(tmp_path: Path) -> tuple[CollectSettings, list[CollectSettings]]:
    """Return a collection of an episode of each of two tasks, and its two shards."""
    config = CollectSettings("libero_object", (0, 1), 1, out=tmp_path, workers=1)
    return config, [replace(config, shard=Shard(index, 2)) for index in (1, 2)]


@pytest.fixture
def begun(
    two_tasks: tuple[CollectSettings, list[CollectSettings]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """Return parts that were collected in order; while the first shard has begun, the second runs."""
    _, (_, second) = two_tasks
    names: list[str] = []

    def collect_part(config: CollectSettings, part: Part) -> PartReport:
        if part.task == 0:
            collect(second)
        names.append(part.name)
        info = tmp_path / part.name / "meta" / "info.json"
        info.parent.mkdir(parents=True)
        info.write_text('{"total_episodes": 1}')
        return PartReport(part, part.count, 1, 100, 1.0)

    monkeypatch.setattr("asyncvla_ros.sim.collect.worker_pool", ThreadPoolExecutor)
    monkeypatch.setattr("asyncvla_ros.sim.collect.collect_part", collect_part)
    return names


def test_shards_collect_into_one_folder_at_the_same_time(
    two_tasks: tuple[CollectSettings, list[CollectSettings]], begun: list[str]
) -> None:
    """The whole then finds nothing missing."""
    config, (first, _) = two_tasks
    collect(first)
    assert begun == ["task01_0000", "task00_0000"]
    collect(config)
    assert len(begun) == 2


def test_a_folder_of_shards_takes_no_other_collection(
    two_tasks: tuple[CollectSettings, list[CollectSettings]], begun: list[str]
) -> None:
    config, (first, _) = two_tasks
    collect(first)
    for other in (first, config):
        with pytest.raises(AsyncVLAError, match=r"another collection \(seed: 0 there, 1 here\)"):
            collect(replace(other, seed=1))


def test_a_dataset_is_collected_by_one_process(tmp_path: Path) -> None:
    config = CollectSettings("libero_object", (0,), 1, out=tmp_path)
    (part,) = plan_parts(config)
    with (tmp_path / ".task00_0000.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(AsyncVLAError, match=r"another process runs the collection of .*task00_0000"):
            collect_part(config, part)


def test_a_collection_of_an_older_version_continues(tmp_path: Path) -> None:
    info = tmp_path / "task00_0000" / "meta" / "info.json"
    info.parent.mkdir(parents=True)
    info.write_text('{"total_episodes": 5}')
    config = CollectSettings("libero_object", (0,), 5, out=tmp_path)
    collect(config)
    file = tmp_path / "collection.json"
    text = file.read_text()
    file.write_text(
        text.replace("episodes_per_part", "episodes_per_shard").replace("rollout_policy", "learner")
    )
    assert '"learner": null' in file.read_text()
    collect(config)


def test_a_collection_of_a_policy_continues_with_that_policy_only(tmp_path: Path) -> None:
    info = tmp_path / "data" / "task00_0000" / "meta" / "info.json"
    info.parent.mkdir(parents=True)
    info.write_text('{"total_episodes": 5}')
    first, other = (tiny_checkpoint(tmp_path / f"policy_{steps}", n_action_steps=steps) for steps in (2, 4))
    settings = CollectSettings("libero_object", (0,), 5, rollout_policy=first, out=tmp_path / "data")
    collect(settings)
    shutil.copytree(first, tmp_path / "moved")
    collect(replace(settings, rollout_policy=tmp_path / "moved"))
    with pytest.raises(AsyncVLAError, match=r"another collection \(rollout_policy"):
        collect(replace(settings, rollout_policy=other))


def test_no_episodes_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(AsyncVLAError, match="at least one episode"):
        plan_parts(CollectSettings("libero_object", (0,), 0, out=tmp_path))


def test_a_second_collection_into_the_same_folder_is_refused(tmp_path: Path) -> None:
    with (tmp_path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(AsyncVLAError, match="another process runs a collection into"):
            collect(CollectSettings("libero_object", (0,), 1, out=tmp_path))


def test_an_episode_that_cannot_be_solved_ends_nothing_but_its_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def collect_part(config: CollectSettings, part: Part) -> PartReport:
        if part.task == 0:
            raise RunError("the expert failed 20 times")
        return PartReport(part, part.count, 1, 100, 1.0)

    monkeypatch.setattr("asyncvla_ros.sim.collect.worker_pool", ThreadPoolExecutor)
    monkeypatch.setattr("asyncvla_ros.sim.collect.collect_part", collect_part)
    collected: list[int] = []
    with pytest.raises(RunError, match="failed 20 times"):
        collect(
            CollectSettings("libero_object", (0, 1, 2), 1, out=tmp_path, workers=1),
            lambda report, done, planned: collected.append(report.part.task),
        )
    assert sorted(collected) == [1, 2]


def test_a_folder_holds_one_collection(tmp_path: Path) -> None:
    for task in range(2):
        info = tmp_path / f"task{task:02d}_0000" / "meta" / "info.json"
        info.parent.mkdir(parents=True)
        info.write_text('{"total_episodes": 5}')
    config = CollectSettings("libero_object", (0,), 5, out=tmp_path)
    collect(config)  # nothing is missing
    collect(replace(config, tasks=(1,), workers=1))
    for other in (
        replace(config, seed=1),
        replace(config, suite="libero_goal"),
        replace(config, placements=(("free", 1.0),)),
    ):
        with pytest.raises(
            AsyncVLAError, match=r"holds another collection \((seed|suite|placements): .* there"
        ):
            collect(other)
    with pytest.raises(AsyncVLAError, match="task00_0000 has 5 episodes, expected 10"):
        collect(replace(config, episodes_per_task=40))


def test_features_name_every_dim() -> None:
    features = dataset_features({"agentview": (224, 224)}, ("x", "y"), ("dx",), PRIVILEGED_NAMES)
    assert features["observation.images.agentview"]["shape"] == (224, 224, 3)
    assert features["observation.state"]["names"] == ["x", "y"]
    assert features["action"]["shape"] == (1,)
    assert features["observation.privileged"]["shape"] == (6,)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"placements": (("anywhere", 1.0),)}, r"placement is 'anywhere', choose of \('official', 'widened'"),
        ({"placements": (("free", 0.5),)}, r"shares \[0\.5\], expected shares that add up to 1"),
        ({"styles": 5}, "styles is 5, expected 1 to 4"),
    ],
)
def test_placements_and_styles_are_checked(tmp_path, changes, message) -> None:
    with pytest.raises(AsyncVLAError, match=message):
        CollectSettings("libero_object", (0,), 1, out=tmp_path, **changes)


@pytest.mark.parametrize(("solved_at", "kept"), [(1, 0), (2, 2)])
def test_a_task_that_its_first_step_solves_is_no_demonstration(
    monkeypatch: pytest.MonkeyPatch, solved_at: int, kept: int
) -> None:
    # For an episode of one frame lerobot keeps no statistics of images, and then none of the dataset.
    monkeypatch.setattr(record_part, "Expert", Mock())
    monkeypatch.setattr(record_part, "Disturbance", Mock())
    writer, env = Mock(), Mock(success=False)
    env.step.side_effect = lambda _: env.configure_mock(success=env.step.call_count >= solved_at)
    config = CollectSettings("libero_object", (0,), 1, out=Path("unused"))
    assert record_part.record_episode(env, writer, config, np.random.default_rng(0)) == kept
    assert writer.save_episode.call_count == bool(kept)
    assert writer.discard_episode.call_count == (not kept)
