"""Views of many scenes: what is asked for holds there, the hand is where it is put, and it all loads back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from asyncvla_ros.data.episodes import load_episodes
from asyncvla_ros.sim.collect import collect
from asyncvla_ros.sim.collection import CollectSettings, Part
from asyncvla_ros.sim.libero.env import IDLE_ACTION, LiberoEnv
from asyncvla_ros.sim.libero.tasks import Task, initial_places, list_tasks, scene_problem
from asyncvla_ros.sim.record_part import collect_part
from asyncvla_ros.sim.views import instructions, look_around
from asyncvla_ros.types import AsyncVLAError, RunError

FREE = (("free", 1.0),)


@pytest.fixture(scope="module")
def env() -> Iterator[LiberoEnv]:
    with LiberoEnv("libero_goal", 3) as opened:
        yield opened


def test_all_ten_tasks_of_one_scene_can_be_asked_for(env: LiberoEnv) -> None:
    env.reset(seed=1)
    texts = [text for text, _ in instructions(env)]
    assert texts[0] == env.instruction
    assert sorted(texts) == sorted(task.instruction for task in list_tasks("libero_goal"))


@pytest.mark.parametrize("task", list_tasks("libero_spatial"), ids=lambda task: str(task.index))
def test_each_of_two_bowls_can_be_asked_for_by_where_it_stands(task: Task) -> None:
    """The instruction of the other one is of the task whose own bowl starts there, and of no other."""
    places = initial_places(scene_problem(task))
    with LiberoEnv("libero_spatial", task.index, render="off") as two_bowls:
        two_bowls.reset(seed=1)
        (text, own), (other_text, other) = instructions(two_bowls)
    assert (text, own) == (task.instruction, (("on", "akita_black_bowl_1", "plate_1"),))
    assert other == (("on", "akita_black_bowl_2", "plate_1"),)
    (asked,) = [task for task in list_tasks("libero_spatial") if task.instruction == other_text]
    there = initial_places(scene_problem(asked))["akita_black_bowl_1"]
    assert places["akita_black_bowl_2"] == there != places["akita_black_bowl_1"]


def test_in_a_scene_of_six_things_only_those_can_be_asked_for() -> None:
    with LiberoEnv("libero_object", 3, render="off") as env:
        env.reset(seed=1)
        asked = instructions(env)
        names = {*env.scene.object_names(), "basket_1_contain_region"}
    assert len(asked) == 6 and all({*goal[1:]} <= names for _, goals in asked for goal in goals)


def test_a_view_tells_where_target_and_place_of_each_instruction_are_from_the_hand(env: LiberoEnv) -> None:
    env.reset(seed=2)
    goals, own, seen, before = dict(instructions(env)), env.scene.goals, set(), None
    for view in look_around(env, instructions(env), FREE, 6, rng=np.random.default_rng(0)):
        hand, _ = env.scene.ee_pose()
        image = view[0].observation.images["agentview"]
        assert before is None or not np.array_equal(image, before)
        before = image
        assert len({answer.observation.instruction for answer in view}) == 4
        for answer in view:
            seen.add(answer.observation.instruction)
            goal = goals[answer.observation.instruction][0]
            places = [env.scene.place_position(goal[1]), env.scene.place_position(goal[-1])]
            np.testing.assert_allclose(
                answer.privileged, np.concatenate(places) - np.tile(hand, 2), atol=1e-6
            )
            assert np.abs(answer.action).max() <= 1 and np.isfinite(answer.action).all()
            np.testing.assert_array_equal(answer.observation.images["agentview"], image)
    assert len(seen) >= 8
    assert env.scene.goals == own


@pytest.mark.parametrize(("suite", "task"), [("libero_object", 1), ("libero_spatial", 4), ("libero_goal", 6)])
def test_what_is_moved_between_views_rests_where_it_is(suite: str, task: int) -> None:
    """Each view has other places, of which no physics has to take anything away."""
    placements = (("exchanged", 0.5), ("free", 0.5))
    with LiberoEnv(suite, task) as env:
        env.reset(seed=4)
        names, found = env.scene.object_names(), []
        for _ in look_around(env, instructions(env), placements, 6, rng=np.random.default_rng(1)):
            view = env.scene.arrangement()
            found.append(placed := np.array([env.scene.body_position(name) for name in names]))
            for _ in range(10):
                env.step(IDLE_ACTION)
            rested = np.array([env.scene.body_position(name) for name in names])
            np.testing.assert_allclose(rested, placed, atol=0.005)
            view.restore()
        moves = np.linalg.norm(np.diff(found, axis=0)[:, :, :2], axis=2)
        assert (moves.max(axis=1) > 0.05).all()


def test_the_hand_is_put_where_it_can_be_and_else_stays(env: LiberoEnv) -> None:
    env.reset(seed=3)
    position, rotation = env.scene.ee_pose()
    there = position + np.array([0.05, -0.1, -0.05])
    assert env.put_hand(there, rotation, 0.01)
    now, turned = env.scene.ee_pose()
    np.testing.assert_allclose(now, there, atol=0.006)
    np.testing.assert_allclose(turned, rotation, atol=0.06)
    np.testing.assert_allclose(env.joint_positions[7:], [0.01, -0.01])
    joints = env.joint_positions
    assert not env.put_hand(position + np.array([3.0, 0.0, 0.0]), rotation, 0.04)
    np.testing.assert_array_equal(env.joint_positions, joints)


def test_views_load_back_as_episodes_whose_frames_are_each_alone(tmp_path: Path) -> None:
    config = CollectSettings(
        "libero_goal", (3,), 3, out=tmp_path / "views", views=2, episodes_per_part=3, workers=1
    )
    collect(config)
    episodes = load_episodes([config.out], 28, tmp_path / "cache")
    frames = np.arange(len(episodes.episode))
    assert episodes.count == 3 and len(frames) == 12 and episodes.is_view(frames).all()
    for episode in range(3):
        own = frames[np.asarray(episodes.episode[frames]) == episode]
        assert len({*episodes.instruction[own]}) == len(own) == 4
        pictures = episodes.images.take(own)
        assert np.abs(pictures.astype(int) - pictures[:1]).max() < 20  # Video is not exact.
    assert episodes.privileged is not None and np.abs(episodes.privileged[frames]).max() < 2
    with pytest.raises(AsyncVLAError, match=r"holds another collection \(views: 2 there, 3 here\)"):
        collect(CollectSettings("libero_goal", (3,), 3, out=config.out, views=3, episodes_per_part=3))


def test_nobody_drives_in_a_view(tmp_path: Path) -> None:
    with pytest.raises(AsyncVLAError, match=r"views is 2 with the rollout policy .* nobody drives in a view"):
        CollectSettings("libero_goal", (3,), 5, out=tmp_path, views=2, rollout_policy=tmp_path)


def test_where_there_is_no_room_another_scene_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a demonstration and of a view; only who finds none again and again gives up."""
    reset, calls = LiberoEnv.reset, []

    def full(env: LiberoEnv, seed: int, placement: str = "official") -> None:
        calls.append(seed)
        if len(calls) % 2:
            raise RunError("no room")
        reset(env, seed, placement)

    monkeypatch.setattr(LiberoEnv, "reset", full)
    config = CollectSettings("libero_goal", (3,), 4, out=tmp_path / "views", views=2)
    report = collect_part(config, Part(3, 0, 4))
    assert report.episodes == 4 and len(calls) == 4 and len(set(calls)) == 4
    demonstrations = replace(config, out=tmp_path / "demonstrations", views=0)
    calls.clear()
    report = collect_part(demonstrations, Part(3, 0, 1))
    assert report.episodes == 1 and report.attempts == len(calls) == 2
    monkeypatch.setattr(LiberoEnv, "reset", _no_room)
    with pytest.raises(RunError, match="no scene for view 0 of libero_goal task 3, seed 0"):
        collect_part(replace(config, out=tmp_path / "none"), Part(3, 0, 4))


def _no_room(env: LiberoEnv, seed: int, placement: str = "official") -> None:
    raise RunError("no room")
