"""What the recorder keeps: all of an episode, whatever ends it."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys

import pytest
from action_msgs.msg import GoalStatus, GoalStatusArray
from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import Image, JointState

from asyncvla_msgs.msg import ActionChunk
from asyncvla_msgs.srv import StartEpisode, StopEpisode
from asyncvla_ros.bags.episode import FAILURE, RECORDING, SUCCESS, read_note, recorded_robot
from asyncvla_ros.bags.reader import BagReader
from asyncvla_ros.robot.contract_file import load_robot
from asyncvla_ros.ros import qos
from asyncvla_ros.ros.bench.arm import write_contract
from asyncvla_ros.ros.middleware import fastdds_environment
from support.node_process import NodeProcess, node_command

pytestmark = [pytest.mark.ros, pytest.mark.slow]
HZ, JOINT_HZ = 30.0, 100.0
# 20 of them: ASYNCVLA_KILLS=20 pytest test/ros/recorder -k killed
KILLS = int(os.environ.get("ASYNCVLA_KILLS", "2"))


@pytest.fixture
def arm(ros_client, tmp_path):
    """Two VGA cameras at 30 Hz and joints at 100 Hz."""
    contract = write_contract(tmp_path)
    params = {"autostart": True, "hz": HZ}
    process = NodeProcess(node_command("bench.arm_node", params=params), fastdds_environment(processes=3))
    yield contract
    process.stop()


@pytest.fixture
def record(ros_client, arm, tmp_path):
    processes = []

    def record(out="episodes"):
        params = {"robot": arm, "out": tmp_path / out, "around": "nothing", "policy": "''", "autostart": True}
        profile = fastdds_environment(processes=3)
        processes.append(NodeProcess(node_command("recorder_node", params=params), profile))
        processes[-1].wait_for_output("ready: ")
        return processes[-1], tmp_path / out

    yield record
    for process in processes:
        process.stop()


def start(ros_client):
    answer = ros_client.call(StartEpisode, "recorder/start", StartEpisode.Request(instruction="lift it"))
    assert answer.accepted, answer.message
    return answer.message


def hear(ros_client, seconds):
    """Wait until joint states of this many seconds have arrived."""
    inbox = ros_client.subscribe(JointState, "joint_states", qos.sensor("best_effort"))
    first = inbox.wait().header.stamp.sec
    inbox.wait(where=lambda message: message.header.stamp.sec > first + seconds, timeout=seconds + 20)


def wait_until_heard_reliably(ros_client, topic):
    """Wait until the recorder, which begins with best effort, has seen what is offered on a topic."""
    ros_client.wait_until(
        lambda: all(
            info.qos_profile.reliability == ReliabilityPolicy.RELIABLE
            for info in ros_client.node.get_subscriptions_info_by_topic(topic)
        ),
        f"reliable subscription of {topic}",
    )


def test_an_episode_is_whole_and_says_what_it_is(ros_client, record, arm):
    process, out = record()
    start(ros_client)
    hear(ros_client, 3)
    request = StopEpisode.Request(outcome=StopEpisode.Request.OUTCOME_SUCCESS)
    answer = ros_client.call(StopEpisode, "recorder/stop", request)
    assert answer.accepted and "success" in answer.message
    folder = out / "episode_000000"
    note = read_note(folder)
    assert (note.outcome, note.instruction, note.robot, note.problem) == (SUCCESS, "lift it", "bench_arm", "")
    assert load_robot(recorded_robot(folder)) == load_robot(arm)
    with BagReader(folder) as bag:
        stamps = {}
        for one in bag.messages():
            stamp = one.message.header.stamp
            stamps.setdefault(one.topic, []).append(stamp.sec + 1e-9 * stamp.nanosec)
        assert bag.problems == []
    cameras = [topic for topic in stamps if "image" in topic]
    assert len(cameras) == 2 and len(stamps["/joint_states"]) > 2.5 * JOINT_HZ
    for topic in cameras:
        counts = note.messages[topic]
        assert counts["received"] == counts["written"] == len(stamps[topic]) > HZ
        # On a busy machine images are lost on their way; the counters say how many.
        sent = round(HZ * (stamps[topic][-1] - stamps[topic][0])) + 1
        assert abs(counts["received"] + counts["lost"] - sent) <= 3
    refused = ros_client.call(StopEpisode, "recorder/stop", request)
    assert not refused.accepted and refused.message == "no episode is being recorded"
    # What begins next has the next number.
    assert start(ros_client).endswith("episode_000001")
    assert process.stop() == 0
    assert read_note(out / "episode_000001").outcome == "unknown"
    with BagReader(out / "episode_000001") as bag:
        assert bag.problems == []


@pytest.mark.parametrize("number", range(KILLS))
def test_a_recorder_that_is_killed_has_written_all_but_the_last_moment(ros_client, record, number):
    process, out = record(f"killed_{number}")
    start(ros_client)
    hear(ros_client, 2)
    newest = ros_client.subscribe(Image, "front/image_raw", qos.sensor("best_effort")).wait().header.stamp
    process.kill()
    folder = out / "episode_000000"
    assert read_note(folder).outcome == RECORDING
    with BagReader(folder) as bag:
        stamps = [one.message.header.stamp for one in bag.messages()]
        assert any("ends after" in problem for problem in bag.problems)
    last = max(stamp.sec + 1e-9 * stamp.nanosec for stamp in stamps)
    assert last > newest.sec + 1e-9 * newest.nanosec - 1.0
    again, _ = record(f"killed_{number}")
    again.wait_for_output("episode_000000 was cut short")


def test_a_disk_that_is_full_ends_the_episode_and_says_so(ros_client, arm, tmp_path):
    command = node_command(
        "recorder_node",
        params={
            "robot": arm,
            "out": tmp_path / "full",
            "around": "nothing",
            "policy": "''",
            "autostart": True,
        },
    )
    # A file of 8 MB is the largest that this process may write.
    limited = ["-c", f"import resource, runpy, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
               f"resource.setrlimit(resource.RLIMIT_FSIZE, (8000000, 8000000)); "
               f"sys.argv = ['recorder_node', *{command[2:]!r}]; "
               f"runpy.run_module({command[1]!r}, run_name='__main__')"]  # fmt: skip
    process = NodeProcess(limited)
    process.wait_for_output("ready: ")
    start(ros_client)
    process.wait_for_output("cut short")
    assert "File too large" in process.output
    note = read_note(tmp_path / "full" / "episode_000000")
    assert "what was written before can be read" in note.problem
    with BagReader(tmp_path / "full" / "episode_000000") as bag:
        assert sum(1 for _ in bag.messages()) > 5
    process.stop()


def test_a_task_of_the_policy_is_an_episode(ros_client, arm, tmp_path):
    """As the action server of policy_node says it; the instruction is that of the chunks."""
    params = {"robot": arm, "out": tmp_path / "tasks", "autostart": True}
    process = NodeProcess(node_command("recorder_node", params=params))
    process.wait_for_output("ready: ")
    tasks = ros_client.node.create_publisher(GoalStatusArray, "policy/run_task/_action/status", qos.STATUS)
    chunks = ros_client.publisher(ActionChunk, "policy/action_chunk", qos.CHUNK)
    wait_until_heard_reliably(ros_client, "/policy/action_chunk")
    for number, (end, outcome) in enumerate(
        ((GoalStatus.STATUS_SUCCEEDED, SUCCESS), (GoalStatus.STATUS_ABORTED, FAILURE))
    ):
        goal = GoalStatus(status=GoalStatus.STATUS_EXECUTING)
        goal.goal_info.goal_id.uuid = [number] * 16
        tasks.publish(GoalStatusArray(status_list=[goal]))
        process.wait_for_output(f"recording {tmp_path}/tasks/episode_{number:06d}")
        chunks.publish(ActionChunk(instruction="pour it", chunk_id=1, actions=[0.0]))
        hear(ros_client, 1)
        goal.status = end
        tasks.publish(GoalStatusArray(status_list=[goal]))
        process.wait_for_output(f"episode_{number:06d}: {outcome}")
        note = read_note(tmp_path / "tasks" / f"episode_{number:06d}")
        assert (note.outcome, note.instruction) == (outcome, "pour it")
        assert note.messages["/policy/action_chunk"]["written"] == 1
    process.stop()


def test_keys_begin_and_end_episodes(ros_client, arm, tmp_path):
    """In a terminal, as a person has it."""
    terminal, inside = pty.openpty()
    command = ["-m", "asyncvla_ros.cli", "record", "--robot", str(arm), "--out", str(tmp_path / "keys")]
    process = subprocess.Popen(
        [sys.executable, *command, "--instruction", "lift it"], stdin=inside, stdout=inside, stderr=inside
    )
    os.close(inside)
    written = ""
    for words, key in (("q quit", b"s"), ("recording ", b"n"), (": failure, ", b"q")):
        while words not in written:
            ready, _, _ = select.select([terminal], [], [], 60)
            assert ready, written
            written += os.read(terminal, 4096).decode(errors="replace")
        os.write(terminal, key)
    assert process.wait(30) == 0
    os.close(terminal)
    note = read_note(tmp_path / "keys" / "episode_000000")
    assert (note.outcome, note.instruction) == (FAILURE, "lift it")
