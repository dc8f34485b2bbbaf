"""The simulated robot with the real policy and controller nodes, each in its own process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asyncvla_ros.data.message_content import to_ns
from asyncvla_ros.paths import share_dir
from support.checkpoints import tiny_checkpoint

pytestmark = [pytest.mark.ros, pytest.mark.libero, pytest.mark.timeout(240)]

LIBERO = share_dir() / "config" / "libero"


def start_sim(start_node: Callable[..., Any], **params: Any) -> Any:
    given = {"rendering": "decimated", "start": False, "autostart": True, "use_sim_time": False, **params}
    return start_node("libero_sim_node", params=given, params_file=LIBERO / "world.yaml", name="libero_sim")


def reset(ros_client: Any, task: int = 0, init: int = 0) -> Any:
    from asyncvla_msgs.srv import ResetEpisode

    request = ResetEpisode.Request(suite="libero_object", task=task, init=init)
    return ros_client.call(ResetEpisode, "/libero_sim/reset_episode", request, timeout=120)


def start_all(start_node: Callable[..., Any], folder: Path, **params: Any) -> Any:
    """Start simulator, controller (with ``params``) and a tiny policy; return the simulator."""
    sim = start_sim(start_node, lockstep=params.get("lockstep", True))
    given = {"autostart": True, "n_action_steps": 4, **params}
    start_node("controller_node", params=given, params_file=LIBERO / "world.yaml", name="controller")
    start_node(
        "policy_node",
        params={
            "autostart": True,
            "checkpoint": str(tiny_checkpoint(folder / "tiny")),
            "instruction": "pick up the milk and place it in the basket",
            "threads": 1,
            # As in config/libero/policy.yaml: an observation is never a mixture of two.
            "max_skew_s": 0.02,
            "handover": "commit",
        },
        params_file=LIBERO / "world.yaml",
        name="policy",
    )
    return sim


def test_lockstep_with_policy_and_controller(start_node, ros_client, tmp_path: Path):
    from asyncvla_msgs.msg import EpisodeStatus
    from asyncvla_ros.ros import qos

    sim = start_all(start_node, tmp_path)
    statuses = ros_client.subscribe(EpisodeStatus, "/libero_sim/episode_status", qos.STATUS)
    ros_client.wait_until(lambda: ros_client.state("libero_sim") == "active", "the simulator")
    assert reset(ros_client).accepted
    sim.wait_for_output("episode 1: libero_object task 0, initial state 0: pick up the alphabet soup")
    last = statuses.wait(where=lambda m: m.step >= 9, timeout=120)
    assert last.state == EpisodeStatus.STATE_RUNNING and last.lockstep and last.held_steps == 0
    refused = reset(ros_client, init=1000)
    assert not refused.accepted and "expected 0 to" in refused.message
    before = statuses.messages[-1].step
    statuses.wait(where=lambda m: m.episode_id == last.episode_id and m.step > before, timeout=60)
    assert reset(ros_client, init=1).accepted
    again = statuses.wait(where=lambda m: m.init == 1 and m.step >= 1, timeout=60)
    assert again.episode_id > last.episode_id
    aborted = [m.episode_id for m in statuses.messages if m.state == EpisodeStatus.STATE_ABORTED]
    assert aborted == [last.episode_id], "by the reset that was accepted, not by the one that was refused"


def test_free_running_moves_on_without_a_policy_and_shows_the_robot(start_node, ros_client):
    from rosgraph_msgs.msg import Clock
    from sensor_msgs.msg import Image, JointState

    from asyncvla_ros.ros import qos

    start_sim(start_node, lockstep=False)
    images = ros_client.subscribe(Image, "/agentview/image_raw", qos.sensor("reliable"))
    joints = ros_client.subscribe(JointState, "/joint_states", qos.sensor("reliable"))
    clock = ros_client.subscribe(Clock, "/clock", qos.LOCKSTEP_CLOCK)
    ros_client.wait_until(lambda: ros_client.state("libero_sim") == "active", "the simulator")
    assert reset(ros_client).accepted
    image = images.wait(timeout=60)
    assert (image.height, image.width, image.encoding) == (224, 224, "rgb8")
    assert np.frombuffer(image.data, np.uint8).std() > 10
    assert len(joints.wait(count=3, timeout=60).position) == 9
    clock.wait(count=4, timeout=60)
    ticks = [m.clock.sec * 10**9 + m.clock.nanosec for m in clock.messages]
    assert ticks == sorted(ticks)


def test_free_running_chunks_continue_what_is_being_executed(start_node, ros_client, tmp_path: Path):
    from asyncvla_msgs.msg import ActionChunk, ActionCommand
    from asyncvla_ros.ros import qos

    start_all(start_node, tmp_path, lockstep=False, n_action_steps=0)
    chunks = ros_client.subscribe(ActionChunk, "/policy/action_chunk", qos.CHUNK)
    commands = ros_client.subscribe(ActionCommand, "/controller/command", qos.COMMAND)
    ros_client.wait_until(lambda: ros_client.state("libero_sim") == "active", "the simulator")
    assert reset(ros_client).accepted
    commands.wait(count=5, where=lambda m: m.source == ActionCommand.SOURCE_CHUNK, timeout=60)
    later = chunks.wait(where=lambda m: m.committed > 0, timeout=60)
    (before,) = [m for m in chunks.messages if m.chunk_id == later.chunk_id - 1]
    shift_ns = to_ns(later.header.stamp) - to_ns(before.header.stamp)
    dofs, first = len(later.dof_names), shift_ns // to_ns(later.step)
    kept = np.array(later.actions).reshape(-1, dofs)[: later.committed]
    np.testing.assert_allclose(
        kept, np.array(before.actions).reshape(-1, dofs)[first : first + len(kept)], atol=1e-6
    )
