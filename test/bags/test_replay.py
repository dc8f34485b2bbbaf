"""What a replay says: errors that are known, and why something is missing."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from rosbags.rosbag2 import Reader

from asyncvla_ros.bags.reader import BagReader
from asyncvla_ros.bags.replay import Replay
from asyncvla_ros.bags.replay_settings import ReplaySettings
from asyncvla_ros.data.robot_policy import Deciding
from asyncvla_ros.report.replay_page import replay_page
from asyncvla_ros.strategy import Strategy
from asyncvla_ros.types import AsyncVLAError
from support.mutated_recordings import mutate
from support.recordings import BEGIN_NS, MS, STEP_NS, KnowingInference, Recording, two_joints, write_recording

# 200 of them: ASYNCVLA_MUTATIONS=200 pytest test/bags/test_replay.py -k damaged
MUTATIONS = int(os.environ.get("ASYNCVLA_MUTATIONS", "30"))


def run(bag, out, robot=None, offset=(0.0, 0.0), **settings):
    """Replays; returns metrics, the replay and what decided."""
    inference = KnowingInference(offset)
    with BagReader(bag) as reader:
        given = ReplaySettings(Deciding(Strategy(), seed=0), **{"instruction": None, **settings})
        replay = Replay(reader, inference, robot or two_joints(), given, out)
        return replay.run(lambda share: None), replay, inference


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return write_recording(tmp_path_factory.mktemp("recordings") / "whole")


@pytest.fixture(scope="module")
def erring(whole, tmp_path_factory):
    """Metrics of a policy whose actions are off by 0.03 and -0.1, and what decided."""
    metrics, _, inference = run(whole, tmp_path_factory.mktemp("erring"), offset=(0.03, -0.1))
    return metrics, inference


def test_every_observation_is_decided_on_and_compared_with_the_commands(erring):
    metrics, inference = erring
    assert metrics["target"] == "command" and metrics["inferences"] == 80 == len(inference.policy.asked)
    # Of the last seven inferences the recording does not say all that was done.
    assert metrics["compared_steps"] == 73 * 8 + sum(range(1, 8))


def test_errors_are_those_that_the_policy_makes(erring):
    metrics, _ = erring
    assert metrics["mae"] == pytest.approx({"a": 0.03, "b": 0.1}, abs=1e-6)
    assert metrics["mae_by_step"]["b"] == pytest.approx([0.1] * 8, abs=1e-6)
    low, high = metrics["mae_ci95"]["a"]
    assert low <= 0.03 + 1e-6 and high >= 0.03 - 1e-6
    assert metrics["within_tolerance"] == {"a": 1.0, "b": 0.0}, "0.05 rad are within it"


def test_a_whole_recording_has_neither_gaps_nor_drops(erring):
    metrics, _ = erring
    for stream in ("front", "hand", "joint_states"):
        assert metrics["streams"][stream] == {
            "received": 80, "used": 80, "gaps": 0, "dropped": {}, "reasons": {},
        }  # fmt: skip


def test_metrics_say_what_was_refined_and_not_drawn_in_plain_json(erring):
    metrics, _ = erring
    assert metrics["refined_share"] == 0.5
    assert metrics["problems"] == [
        "no path is drawn: joint actions cannot be drawn without a robot description"
    ]
    json.dumps(metrics, default=str, allow_nan=False)


@pytest.mark.parametrize("target", ["command", "chunk", "state:0", "auto"])
def test_whatever_it_is_compared_with(whole, tmp_path, target):
    metrics, _, _ = run(whole, tmp_path, target=target)
    assert metrics["compared_steps"] > 0
    assert max(metrics["mae"].values()) < 1e-3


def test_outputs_of_the_contract_are_what_was_done(tmp_path):
    with Recording(tmp_path / "bag") as recording:
        for step in range(40):
            stamp_ns = recording.step(step, recording.joints, recording.front, recording.hand)
            message = recording.make.make("std_msgs/msg/Float64MultiArray", data=np.array([0.5, -0.25]))
            recording.write("arm/commands", stamp_ns - 10 * MS, message)
    metrics, replay, _ = run(tmp_path / "bag", tmp_path, instruction="lift it")
    assert metrics["target"] == "outputs"
    column = replay.record.columns[0]
    assert column.done[0].tolist() == [0.5, -0.25]


def test_decisions_on_a_grid_and_on_those_that_were_made(whole, tmp_path):
    metrics, _, inference = run(whole, tmp_path / "every", every_s=0.2)
    assert metrics["inferences"] == 20
    stamps = np.diff([one.stamp_ns for one in inference.policy.asked])
    assert set(stamps.tolist()) == {4 * STEP_NS}
    _, _, inference = run(whole, tmp_path / "chunks", at="chunks", target="chunk")
    assert [one.stamp_ns for one in inference.policy.asked] == [
        BEGIN_NS + step * STEP_NS for step in range(0, 80, 4)
    ]
    assert inference.policy.asked[3].images["front"][0, 0].tolist() == [12, 12, 12]
    assert {one.instruction for one in inference.policy.asked} == {"lift it"}


def test_a_robot_is_found_in_its_namespace_and_one_of_two_must_be_chosen(tmp_path):
    write_recording(tmp_path / "one", steps=20, namespace="/left")
    assert run(tmp_path / "one", tmp_path)[0]["inferences"] == 20
    with Recording(tmp_path / "two", "/left") as left:
        right = Recording(tmp_path / "unused", "/right")
        right.bag = left.bag
        for step in range(20):
            left.step(step)
            right.step(step)
    with pytest.raises(AsyncVLAError, match="several robots are recorded, in /left, /right; choose one"):
        run(tmp_path / "two", tmp_path / "a", instruction="lift it")
    metrics, _, _ = run(tmp_path / "two", tmp_path / "b", instruction="lift it", namespace="right")
    assert metrics["inferences"] == 20


def test_a_stream_that_is_missing_is_said_with_what_is_there(tmp_path):
    with Recording(tmp_path / "blind") as recording:
        for step in range(5):
            recording.step(step, recording.joints, recording.front)
    with pytest.raises(AsyncVLAError) as refused:
        run(tmp_path / "blind", tmp_path)
    assert str(refused.value) == (
        "/hand/image_raw/compressed (camera hand) is not recorded; there are: /front/image_raw "
        "(sensor_msgs/msg/Image), /joint_states (sensor_msgs/msg/JointState)"
    )


def test_a_stream_of_another_type_is_refused(tmp_path):
    with Recording(tmp_path / "odd") as recording:
        for step in range(5):
            recording.step(step, recording.front, recording.hand)
            recording.write("joint_states", BEGIN_NS + step * STEP_NS, recording.make.header(BEGIN_NS))
    expected = "/joint_states is recorded as std_msgs/msg/Header, expected sensor_msgs/msg/JointState"
    with pytest.raises(AsyncVLAError, match=expected):
        run(tmp_path / "odd", tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"instruction": "lift it"}, r"no command of two_joints to compare with; .* --target state:1"),
        ({"target": "state:1"}, "does not say what was to be done"),
        ({"target": "state:"}, "target is 'state:', expected one of auto, command"),
    ],
)
def test_what_a_recording_without_commands_lacks_is_said(tmp_path, settings, message):
    with Recording(tmp_path / "silent") as recording:
        for step in range(5):
            recording.step(step, recording.joints, recording.front, recording.hand)
    with pytest.raises(AsyncVLAError, match=message):
        run(tmp_path / "silent", tmp_path, **settings)


@pytest.fixture(scope="module")
def failing(tmp_path_factory):
    """Metrics of a recording whose streams fail for a while."""
    folder = tmp_path_factory.mktemp("failing")
    with Recording(folder / "bag") as recording:
        for step in range(100):
            stamp_ns = BEGIN_NS + step * STEP_NS
            if 30 <= step < 60:
                # No pictures of the hand for 1.5 s.
                recording.step(step, recording.joints, recording.front, recording.command)
            elif step == 90:
                recording.front(stamp_ns, step, encoding="32FC1")
                recording.step(step, recording.joints, recording.hand, recording.command)
            else:
                recording.step(step)
            if step == 70:
                recording.joints(stamp_ns + MS, names=("j1",))
            if step == 80:
                recording.joints(stamp_ns, log_ns=stamp_ns + 2 * MS)
    return run(folder / "bag", folder, instruction="lift it")[0]


def test_a_stream_that_is_silent_for_a_while_has_a_gap(failing):
    assert failing["streams"]["hand"]["gaps"] == 1 and failing["streams"]["front"]["gaps"] == 0
    (gap,) = failing["gaps"]
    assert gap["stream"] == "hand" and gap["seconds"] == pytest.approx(31 * 0.05)
    assert gap["begin_s"] == pytest.approx(29 * 0.05)


def test_what_is_dropped_is_counted_with_its_reason(failing):
    joint_states = failing["streams"]["joint_states"]
    assert joint_states["dropped"]["unusable"] == 1
    assert joint_states["dropped"]["out of order"] == 1
    assert "position of j2 is missing" in next(iter(joint_states["reasons"]))
    for one in failing["streams"].values():
        assert one["received"] == one["used"] + sum(one["dropped"].values())


def test_a_picture_that_cannot_be_used_fails_one_decision(failing):
    assert failing["inferences"] == 69 and list(failing["failures"].values()) == [1]
    assert "32FC1" in next(iter(failing["failures"]))


def dark_hand(recording, stamp_ns, log_ns):
    """Write a raw picture where a compressed one is expected."""
    picture = recording.make.make(
        "sensor_msgs/msg/Image", header=recording.make.header(stamp_ns), height=2, width=2,
        encoding="rgb8", step=6, data=np.zeros(12, np.uint8),
    )  # fmt: skip
    recording.write("hand/image_raw/compressed", log_ns, picture)


@pytest.mark.parametrize("with_clock", [True, False])
def test_stamps_of_another_clock(tmp_path, with_clock):
    """A simulation that was recorded by wall time."""
    with Recording(tmp_path / "bag") as recording:
        for step in range(40):
            stamp_ns, log_ns = step * STEP_NS + 10**9, BEGIN_NS + step * STEP_NS
            if with_clock:
                clock = recording.make.make("rosgraph_msgs/msg/Clock", clock=recording.make.time(stamp_ns))
                recording.bag.write("/clock", log_ns, clock)
            recording.front(stamp_ns, step, log_ns)
            recording.joints(stamp_ns, log_ns=log_ns)
            dark_hand(recording, stamp_ns, log_ns)
    metrics, _, _ = run(tmp_path / "bag", tmp_path, instruction="lift it", target="state:0")
    assert metrics["inferences"] == 40
    source = "/clock" if with_clock else "the stamps"
    assert f"as those of a simulated clock: the time of {source} counts" in metrics["problems"][0]


def test_time_that_is_set_back_begins_anew(tmp_path):
    with Recording(tmp_path / "bag") as recording:
        log_ns = BEGIN_NS
        for _ in range(2):
            for step in range(30):
                stamp_ns, log_ns = 10**9 + step * STEP_NS, log_ns + STEP_NS
                recording.joints(stamp_ns, log_ns=log_ns)
                recording.front(stamp_ns, step, log_ns)
                dark_hand(recording, stamp_ns, log_ns)
    metrics, _, _ = run(tmp_path / "bag", tmp_path, instruction="lift it", target="state:0")
    assert metrics["inferences"] == 60
    assert metrics["mae"]["a"] < 1e-3, "what was done the second time is not mixed up with the first"


def test_predictions_stand_beside_the_original_on_its_clock(whole, tmp_path):
    run(whole, tmp_path, at="chunks")
    with Reader(tmp_path / "predictions") as reader:
        topics = {one.topic: one.msgcount for one in reader.connections}
        times = [log_ns for _, log_ns, _ in reader.messages()]
    assert topics == {"/replay/policy/action_chunk": 20, "/replay/overlay/compressed": 20}
    assert sorted(set(times)) == [BEGIN_NS + step * STEP_NS for step in range(0, 80, 4)]
    with BagReader(tmp_path / "predictions") as bag:
        chunks = [one.message for one in bag.messages(["/replay/policy/action_chunk"])]
    assert chunks[0].instruction == "lift it" and len(chunks[0].actions) == 16
    with pytest.raises(AsyncVLAError, match="predictions exists already"):
        run(whole, tmp_path)


def test_the_page_says_what_was_found(whole, tmp_path):
    metrics, replay, _ = run(whole, tmp_path, offset=(0.03, -0.1), every_s=0.1)
    page = replay_page({**metrics, "checkpoint": {}}, replay.record)
    for text in ("two_joints on whole", "0.03", "AUROC", "Worst moments", "No stream had a gap", "lift it"):
        assert text in page
    assert page.count("<svg") >= 4 + len(replay.record.worst) and "data:image/jpeg;base64," in page
    assert "http://" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    ), "it needs no network"


@pytest.mark.parametrize("seed", range(MUTATIONS))
def test_of_a_damaged_recording_what_can_be_read_is_used(whole, tmp_path, seed):
    damage = mutate(whole, tmp_path / "bag", seed)
    try:
        metrics, _, _ = run(tmp_path / "bag", tmp_path / "out", instruction="lift it", target="state:0")
    except AsyncVLAError as error:
        assert str(error).strip() and "\n" not in str(error), damage
        return
    lost = 80 - metrics["inferences"]
    gaps = [
        one for stream in metrics["streams"].values() for one in (*stream["dropped"], stream["gaps"]) if one
    ]
    assert metrics["inferences"] > 0
    assert lost <= 0 or metrics["problems"][1:] or metrics["failures"] or gaps, f"{damage}: silently shorter"
