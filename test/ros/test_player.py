"""A recording to live nodes: the same decisions as offline, and in the time of the recording."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosgraph_msgs.msg import Clock

from asyncvla_msgs.msg import ActionChunk
from asyncvla_ros.bags.inference import InferencePool
from asyncvla_ros.bags.reader import BagReader
from asyncvla_ros.bags.replay import Replay
from asyncvla_ros.bags.replay_settings import ReplaySettings
from asyncvla_ros.data.message_content import to_ns
from asyncvla_ros.data.robot_policy import Deciding
from asyncvla_ros.ros import qos
from asyncvla_ros.ros.player import Pace
from asyncvla_ros.strategy import Strategy
from support.checkpoints import tiny_checkpoint
from support.node_process import NodeProcess, node_command
from support.recordings import (
    BEGIN_NS,
    FEATURES,
    STEP_NS,
    two_joints,
    write_contract,
    write_recording,
)
from support.ros_client import RosClient

STEPS, SEED, INSTRUCTION = 24, 3, "lift it"


def start_policy(robot: Path, checkpoint: Path) -> NodeProcess:
    policy = NodeProcess(
        node_command(
            "policy_node",
            params={
                "robot": robot, "checkpoint": checkpoint, "seed": SEED, "threads": 1, "use_sim_time": True,
                "instruction": f"'{INSTRUCTION}'", "sensor_reliability": "reliable", "autostart": True,
            },
        )
    )  # fmt: skip
    policy.wait_for_output("ready")
    return policy


def decided_live(client: RosClient, bag: Path, robot: Path, checkpoint: Path) -> dict[int, ActionChunk]:
    """Play a recording to a policy; return its chunks by stamp."""
    chunks = client.subscribe(ActionChunk, "policy/action_chunk", qos.CHUNK)
    clock = client.subscribe(Clock, "/clock", qos.LOCKSTEP_CLOCK)
    policy = start_policy(robot, checkpoint)
    # Slow enough for each observation to be decided on.
    player = NodeProcess(["-m", "asyncvla_ros.cli", "play", str(bag), "--robot", str(robot), "--rate", "0.3"])
    assert player.process.wait(60) == 0, player.output
    live = {to_ns(one.header.stamp): one for one in chunks.messages}
    assert policy.stop() == 0
    times = [to_ns(one.clock) for one in clock.messages]
    assert times == sorted(times) and times[0] >= BEGIN_NS and times[-1] == BEGIN_NS + (STEPS - 1) * STEP_NS
    return live


def decided_offline(bag: Path, checkpoint: Path, out: Path) -> dict[int, Any]:
    """Replay a recording; return what the policy predicts, by stamp."""
    with BagReader(bag) as reader, InferencePool(checkpoint, "cpu", 1, 1) as inference:
        settings = ReplaySettings(Deciding(Strategy(), SEED), instruction=INSTRUCTION)
        Replay(reader, inference, two_joints(), settings, out).run(lambda share: None)
    with BagReader(out / "predictions") as predicted:
        return {
            to_ns(one.message.header.stamp): one.message
            for one in predicted.messages(["/replay/policy/action_chunk"])
        }


@pytest.mark.ros
@pytest.mark.slow
def test_live_and_offline_decide_the_same_bit_for_bit(ros_client, tmp_path):
    features = {
        key: getattr(FEATURES, key) for key in ("cameras", "state_names", "action_names", "action_space")
    }
    checkpoint = tiny_checkpoint(tmp_path / "checkpoint", **features)
    bag = write_recording(tmp_path / "bag", steps=STEPS)
    live = decided_live(ros_client, bag, write_contract(tmp_path), checkpoint)
    offline = decided_offline(bag, checkpoint, tmp_path / "replay")
    assert len(offline) == STEPS and len(live) > STEPS * 0.8 and set(live) <= set(offline)
    for stamp_ns, one in live.items():
        other = offline[stamp_ns]
        assert np.array_equal(np.array(one.actions, np.float32), other.actions)
        assert np.array_equal(np.array(one.confidence, np.float32), other.confidence)
        assert list(one.refined) == list(other.refined) and one.instruction == other.instruction
    assert len({tuple(one.actions) for one in live.values()}) == len(live), "they are no constants"


def test_a_pace_holds_goes_on_and_ends():
    pace, told = Pace(rate=100.0), []
    pace.begin(0)
    assert pace.wait(10**9, told.append) and told[-1] <= 10**9
    assert pace.hold()
    held = []
    pace.begin(10**9)

    def tick(now_ns):
        held.append(now_ns)
        if len(held) == 5:
            pace.hold()

    assert pace.wait(2 * 10**9, tick)
    assert set(held[:4]) == {10**9}, "held, time stands still"
    pace.end()
    assert not pace.wait(10**12, told.append) and pace.is_over
