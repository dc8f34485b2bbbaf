"""The simulated robot with the real policy and controller nodes, each in its own process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

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


def test_lockstep_with_policy_and_controller(start_node, ros_client, tmp_path: Path):
    from asyncvla_msgs.msg import EpisodeStatus
    from asyncvla_ros.ros import qos

    start_sim(start_node)
    start_node(
        "controller_node", params={"autostart": True}, params_file=LIBERO / "world.yaml", name="controller"
    )
    start_node(
        "policy_node",
        params={
            "autostart": True,
            "checkpoint": str(tiny_checkpoint(tmp_path / "tiny")),
            "instruction": "pick up the milk and place it in the basket",
            "threads": 1,
        },
        params_file=LIBERO / "world.yaml",
        name="policy",
    )
    statuses = ros_client.subscribe(EpisodeStatus, "/libero_sim/episode_status", qos.STATUS)
    ros_client.wait_until(lambda: ros_client.state("libero_sim") == "active", "the simulator")
    assert reset(ros_client).accepted
    last = statuses.wait(where=lambda m: m.step >= 9, timeout=120)
    assert last.state == EpisodeStatus.STATE_RUNNING and last.lockstep and last.held_steps == 0
    refused = reset(ros_client, init=1000)
    assert not refused.accepted and "expected 0 to" in refused.message
    assert reset(ros_client, init=1).accepted
    again = statuses.wait(where=lambda m: m.init == 1 and m.step >= 1, timeout=60)
    assert again.episode_id > last.episode_id


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
