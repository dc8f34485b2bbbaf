"""Recordings to datasets and back: nothing is invented, and what is left out is counted."""

from __future__ import annotations

import json

import numpy as np
import pytest

from asyncvla_ros.bags.convert import ConvertSettings, convert
from asyncvla_ros.bags.episode import DISCARDED, FAILURE, SUCCESS, EpisodeNote
from asyncvla_ros.bags.frames import FrameSettings, RecordedFrames
from asyncvla_ros.bags.from_dataset import draft_contract, read_episode, write_bag
from asyncvla_ros.bags.reader import BagReader
from asyncvla_ros.robot.contract_file import load_robot
from asyncvla_ros.types import AsyncVLAError
from support.datasets import write_dataset
from support.recordings import BEGIN_NS, STEP_NS, Recording, motion, two_joints, write_recording

LIFT = FrameSettings(instruction="lift it")


def frames(bag, settings=LIFT):
    with BagReader(bag) as reader:
        return list(RecordedFrames(reader, two_joints(), settings))


def run(bags, out, settings=LIFT, **changes):
    return convert(
        bags, lambda bag: two_joints(), out, ConvertSettings(settings, **changes), lambda line: None
    )


def test_a_frame_holds_what_was_seen_and_done_at_its_step(tmp_path):
    found = frames(write_recording(tmp_path / "bag", steps=30), FrameSettings())
    assert len(found) == 30 and not any(frame.dropped for frame in found)
    for step, frame in enumerate(found):
        stamp_ns = BEGIN_NS + step * STEP_NS
        assert frame.stamp_ns == stamp_ns and frame.observation.instruction == "lift it"
        assert frame.action.tolist() == motion(stamp_ns).astype(np.float32).tolist()
        assert frame.observation.state.tolist() == frame.action.tolist()
        assert frame.observation.images["front"][0, 0, 0] == step
        assert frame.observation.images["hand"][0, 0, 0] == step


def test_a_slow_camera_is_looked_at_more_than_once(tmp_path):
    with Recording(tmp_path / "bag") as recording:
        for step in range(30):
            parts = (
                recording.joints,
                recording.command,
                *((recording.front, recording.hand) * (step % 2 == 0)),
            )
            recording.step(step, *parts)
    found = frames(tmp_path / "bag")
    assert [frame.observation.images["front"][0, 0, 0] for frame in found[:6]] == [0, 0, 2, 2, 4, 4]
    assert [frame.observation.state[0] for frame in found[:3]] == [
        np.float32(motion(BEGIN_NS + step * STEP_NS)[0]) for step in range(3)
    ]


def test_gaps_end_an_episode_and_are_counted_by_reason(tmp_path):
    with Recording(tmp_path / "bag") as recording:
        for step in range(100):
            if 40 <= step < 60:
                # Nobody commands; of the last half of it no pictures of the hand come either.
                seen = (recording.joints, recording.front, *((recording.hand,) * (step < 50)))
                recording.step(step, *seen)
            else:
                recording.step(step)
    found = frames(tmp_path / "bag")
    reasons = [frame.dropped for frame in found]
    assert reasons[:40] == [""] * 40 and reasons[40:50] == ["nothing was done"] * 10
    assert "no hand" in reasons[50:60]
    done = run([tmp_path / "bag"], tmp_path / "data")
    assert done.episodes == 2 and done.frames + sum(done.dropped.values()) == len(found)
    assert json.loads((tmp_path / "data" / "meta" / "info.json").read_text())["total_episodes"] == 2


def driven_by_somebody_else(folder, *, silent: bool):
    """Write a recording of an arm that another program commands, while the controller is silent or holds."""
    with Recording(folder) as recording:
        if silent:
            # As a recorder does: a topic of the contract that stays silent.
            recording.bag.add("/controller/command", "asyncvla_msgs/msg/ActionCommand")
        for step in range(20):
            stamp_ns = recording.step(step, recording.joints, recording.front, recording.hand)
            array = recording.make.make("std_msgs/msg/Float64MultiArray", data=motion(stamp_ns))
            recording.write("arm/commands", stamp_ns, array)
            if not silent:
                recording.command(stamp_ns, source=0)
    return folder


def test_a_command_topic_that_stayed_silent_is_no_source_of_actions(tmp_path):
    driven = driven_by_somebody_else(tmp_path / "bag", silent=True)
    done = run([driven], tmp_path / "data", FrameSettings(instruction="lift it"))
    assert (done.episodes, done.frames) == (1, 20), "the outputs say what was done"


def test_holds_alone_are_no_actions_and_the_way_out_is_named(tmp_path):
    driven = driven_by_somebody_else(tmp_path / "bag", silent=False)
    with pytest.raises(AsyncVLAError, match=r"nothing was done \(.*--target outputs, or --target state:1"):
        run([driven], tmp_path / "data", FrameSettings(instruction="lift it"))
    done = run([driven], tmp_path / "other", FrameSettings(instruction="lift it", target="outputs"))
    assert done.frames == 20


def test_a_stamp_of_the_far_future_is_no_endless_episode(tmp_path):
    with Recording(tmp_path / "bag") as recording:
        for step in range(40):
            recording.step(step)
            if step == 20:
                recording.joints(BEGIN_NS + 4 * 10**17, log_ns=BEGIN_NS + step * STEP_NS)
    found = frames(tmp_path / "bag")
    assert [frame.dropped for frame in found].count("time jumped") == 2
    assert sum(not frame.dropped for frame in found) >= 36 and len(found) < 50


def test_episodes_of_a_simulator_that_were_not_solved_are_left_out(tmp_path):
    def status(recording, step, number, state):
        stamp_ns = BEGIN_NS + step * STEP_NS
        message = recording.make.make(
            "asyncvla_msgs/msg/EpisodeStatus",
            header=recording.make.header(stamp_ns),
            episode_id=number,
            state=state,
            instruction="lift it",
        )
        recording.write("libero_sim/episode_status", stamp_ns, message)

    with Recording(tmp_path / "bag") as recording:
        for step in range(60):
            status(recording, step, 1 + (step >= 30), {29: 2, 59: 3}.get(step, 1))
            recording.step(step)
    reasons = [frame.dropped for frame in frames(tmp_path / "bag", FrameSettings())]
    assert reasons == [""] * 30 + ["its episode was not solved"] * 30
    assert not any(frame.dropped for frame in frames(tmp_path / "bag", FrameSettings(failures=True)))


def test_what_a_person_said_of_an_episode_counts(tmp_path):
    bags = []
    for name, outcome in (("good", SUCCESS), ("bad", FAILURE), ("odd", DISCARDED)):
        bags.append(write_recording(tmp_path / name, steps=10))
        EpisodeNote(instruction="lift it", outcome=outcome).write(bags[-1])
    done = run(bags, tmp_path / "some", FrameSettings())
    assert (done.episodes, done.frames) == (1, 10)
    assert done.skipped == {"not solved": [str(bags[1])], "discarded": [str(bags[2])]}
    done = run(bags, tmp_path / "all", FrameSettings(failures=True), discarded=True)
    assert (done.episodes, done.frames, done.skipped) == (3, 30, {})
    with pytest.raises(AsyncVLAError, match=r"nothing to convert is left: not solved \(--failures"):
        run(bags[1:2], tmp_path / "none", FrameSettings())
    with pytest.raises(AsyncVLAError, match="some exists already"):
        run(bags, tmp_path / "some", FrameSettings())


def test_a_run_that_was_ended_goes_on_where_it_was(tmp_path):
    bags = [write_recording(tmp_path / str(number), steps=10) for number in range(3)]
    begun = []

    def robot(bag):
        begun.append(bag)
        if len(begun) == 3:
            raise KeyboardInterrupt
        return two_joints()

    with pytest.raises(KeyboardInterrupt):
        convert(bags, robot, tmp_path / "data", ConvertSettings(LIFT), lambda line: None)
    assert not (tmp_path / "data").exists()
    begun.append(None)
    done = convert(bags, robot, tmp_path / "data", ConvertSettings(LIFT), lambda line: None)
    assert begun[4:] == [bags[2]], "the others were there"
    assert (done.episodes, done.frames) == (3, 30)
    assert not list(tmp_path.glob(".data*"))


@pytest.mark.parametrize("images", ["png", "jpeg"])
def test_a_dataset_comes_back_as_it_was(tmp_path, images):
    source = write_dataset(tmp_path / "source", lengths=(6, 5))
    bags = []
    for number in range(2):
        episode = read_episode(source, number)
        file = tmp_path / f"robot_{number}.yaml"
        file.write_text(draft_contract(episode, "joint_position"))
        bags.append(tmp_path / f"bag_{number}")
        assert write_bag(episode, bags[-1], load_robot(file), file.read_text(), images) == (6, 5)[number]
    done = convert(
        bags,
        lambda bag: load_robot(bag / "robot.yaml"),
        tmp_path / "back",
        ConvertSettings(FrameSettings()),
        print,
    )
    assert (done.episodes, done.frames, dict(done.dropped)) == (2, 11, {})
    for number in range(2):
        there, back = read_episode(source, number), read_episode(tmp_path / "back", number)
        assert np.array_equal(there.state, back.state) and np.array_equal(there.action, back.action)
        assert there.instruction == back.instruction
        for one, other in zip(there.images["top"], back.images["top"], strict=True):
            assert np.abs(one.astype(int) - other.astype(int)).max() < 8, "the next picture differs by 10"


def test_an_episode_that_is_not_there(tmp_path):
    source = write_dataset(tmp_path / "source")
    with pytest.raises(AsyncVLAError, match="has no episode 7; it has 0 to 1"):
        read_episode(source, 7)
    with pytest.raises(AsyncVLAError, match="is no LeRobot dataset"):
        read_episode(tmp_path, 0)
