"""What is read of recordings: all that is there, and what is missing is said."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from asyncvla_ros.bags.reader import BagReader
from asyncvla_ros.bags.types import typestore
from asyncvla_ros.bags.writer import BagWriter
from asyncvla_ros.types import AsyncVLAError

STORE = get_typestore(Stores.ROS2_KILTED)
JointState, Header = STORE.types["sensor_msgs/msg/JointState"], STORE.types["std_msgs/msg/Header"]
Time = STORE.types["builtin_interfaces/msg/Time"]
COUNT, STEP_NS, BEGIN_NS = 40, 10_000_000, 1_700_000_000_000_000_000
TOPICS = ("/left/joint_states", "/right/joint_states")
MUTATIONS = 60


def joint_state(number: int):
    """One that is told by its number."""
    nothing = np.zeros(0)
    header = Header(stamp=Time(sec=number, nanosec=0), frame_id="é")
    return JointState(header, ["a", "b"], np.array([number, -number], float), nothing, nothing)


def write(folder: Path, plugin=StoragePlugin.MCAP, mode=CompressionMode.NONE, first=0) -> Path:
    """Write a recording of two topics in turns."""
    writer = Writer(folder, version=9, storage_plugin=plugin)
    if mode is not CompressionMode.NONE:
        writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        connections = [
            writer.add_connection(topic, JointState.__msgtype__, typestore=STORE) for topic in TOPICS
        ]
        for number in range(first, first + COUNT):
            raw = STORE.serialize_cdr(joint_state(number), JointState.__msgtype__)
            writer.write(connections[number % 2], BEGIN_NS + number * STEP_NS, raw)
    return folder


def read(path: Path, topics=()):
    with BagReader(path) as bag:
        found = list(bag.messages(topics))
    return bag, found


def numbers(found) -> list[int]:
    return [one.message.header.stamp.sec for one in found]


@pytest.mark.parametrize("plugin", StoragePlugin)
@pytest.mark.parametrize("mode", [CompressionMode.NONE, CompressionMode.FILE, CompressionMode.MESSAGE])
@pytest.mark.parametrize("is_described", [True, False])
def test_whatever_rosbag2_writes_is_read(tmp_path, plugin, mode, is_described):
    if mode is CompressionMode.MESSAGE and not is_described:
        pytest.skip("without metadata nobody knows that messages are compressed")
    folder = write(tmp_path / "bag", plugin, mode)
    if not is_described:
        (folder / "metadata.yaml").unlink()
    bag, found = read(folder)
    assert bag.problems == [] and numbers(found) == list(range(COUNT))
    assert found[3].topic == TOPICS[1] and found[3].kind == "sensor_msgs/msg/JointState"
    assert found[3].log_ns == BEGIN_NS + 3 * STEP_NS
    assert found[3].message.header.frame_id == "é" and found[3].message.position.tolist() == [3.0, -3.0]
    assert bag.topics == {topic: {"sensor_msgs/msg/JointState"} for topic in TOPICS}
    _, left = read(folder, [TOPICS[0]])
    assert numbers(left) == list(range(0, COUNT, 2))


@pytest.mark.parametrize("plugin", StoragePlugin)
def test_a_single_file_and_the_files_of_a_split_recording(tmp_path, plugin):
    suffix = {StoragePlugin.MCAP: ".mcap", StoragePlugin.SQLITE3: ".db3"}[plugin]
    whole = tmp_path / "whole"
    whole.mkdir()
    for part in (0, 1, 10):
        (file,) = write(tmp_path / f"part_{part}", plugin, first=part * COUNT).glob(f"*{suffix}")
        shutil.copy(file, whole / f"bag_{part}{suffix}")
    bag, found = read(whole)
    assert bag.problems == []
    assert numbers(found) == [*range(2 * COUNT), *range(10 * COUNT, 11 * COUNT)]
    with BagReader(whole) as bag:
        assert bag.end_ns - bag.start_ns == (11 * COUNT - 1) * STEP_NS + 1
    _, found = read(whole / f"bag_1{suffix}")
    assert numbers(found) == list(range(COUNT, 2 * COUNT))


def test_metadata_that_differ_from_a_file_hide_nothing(tmp_path):
    folder = write(tmp_path / "bag")
    text = (folder / "metadata.yaml").read_text()
    (folder / "metadata.yaml").write_text(text.replace(TOPICS[0], "/renamed"))
    _, found = read(folder)
    assert numbers(found) == list(range(COUNT))


def test_what_is_no_recording_is_refused_with_what_is_there(tmp_path):
    with pytest.raises(AsyncVLAError, match="nowhere: no such recording"):
        read(tmp_path / "nowhere")
    with pytest.raises(AsyncVLAError, match=r"no file of a recording in it, expected \*\.mcap\[\.zstd\]"):
        read(tmp_path)
    (tmp_path / "bag.mcap").write_bytes(b"nothing")
    with pytest.raises(AsyncVLAError, match=r"bag\.mcap: .+"):
        read(tmp_path)


def test_a_file_that_is_damaged_does_not_take_the_others_with_it(tmp_path):
    folder = write(tmp_path / "bag")
    (good,) = folder.glob("*.mcap")
    (folder / "bag_1.mcap").write_bytes(good.read_bytes()[:7])
    bag, found = read(folder)
    assert numbers(found) == list(range(COUNT))
    assert len(bag.problems) == 1 and bag.problems[0].startswith("bag_1.mcap: ")


def test_a_type_that_nobody_knows_is_named_and_its_messages_are_counted(tmp_path):
    with Writer(tmp_path / "bag", version=9) as writer:
        digest = "RIHS01_" + 64 * "0"
        connection = writer.add_connection("/odd", "odd_msgs/msg/Odd", msgdef="nonsense", rihs01=digest)
        writer.write(connection, BEGIN_NS, b"\x00\x01\x00\x00")
    bag, found = read(tmp_path / "bag")
    assert found == [] and bag.undecoded == {"/odd": 1}
    assert bag.problems[0].startswith("/odd: messages of odd_msgs/msg/Odd do not decode")


def test_messages_of_this_package_are_known_without_a_definition():
    assert "asyncvla_msgs/msg/ActionChunk" in typestore([]).types


@pytest.mark.parametrize("plugin", StoragePlugin)
def test_of_damaged_recordings_what_is_there_is_read_and_what_is_not_is_said(tmp_path, plugin):
    original = write(tmp_path / "original", plugin)
    (source,) = (file for file in original.iterdir() if file.suffix != ".yaml")
    content, rng, used = source.read_bytes(), random.Random(0), 0
    for number in range(MUTATIONS // 2):
        folder = tmp_path / str(number)
        shutil.copytree(original, folder)
        damaged = bytearray(content[: rng.randrange(len(content))] if number % 2 else content)
        for _ in range(rng.choice([0, 1, 8])):
            if damaged:
                damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        (folder / source.name).write_bytes(damaged)
        try:
            bag, found = read(folder)
        except AsyncVLAError as error:
            assert source.name in str(error)
            continue
        used += bool(found)
        assert bag.problems or len(found) == COUNT, "never silently shorter"
    assert used > MUTATIONS / 10


def in_chunks(folder: Path) -> Path:
    """Write a recording with ten messages in each chunk of its file; return the file."""
    with BagWriter(folder) as writer:
        for number in range(COUNT):
            message = writer.messages.make("std_msgs/msg/Header", frame_id=str(number))
            writer.write("/count", BEGIN_NS + number * STEP_NS, message)
            if number % 10 == 9:
                writer.flush()
    return next(folder.glob("*.mcap"))


def place(content: bytes, number: int) -> int:
    """Where the text of a message begins: with its length."""
    return content.index(len(f"{number}_").to_bytes(4, "little") + f"{number}".encode() + b"\0")


def test_of_a_file_that_was_cut_all_before_the_cut_is_read(tmp_path):
    file = in_chunks(tmp_path / "bag")
    content = file.read_bytes()
    file.write_bytes(content[: place(content, 29)])
    (tmp_path / "bag" / "metadata.yaml").unlink()
    bag, found = read(tmp_path / "bag")
    assert [one.message.frame_id for one in found] == [str(number) for number in range(20)]
    assert bag.problems[0].startswith("bag.mcap: ends after ")
    assert bag.counts == {"/count": 20}
    with BagReader(tmp_path / "bag") as bag:
        assert bag.end_ns == BEGIN_NS + 19 * STEP_NS + 1


def test_a_piece_that_is_damaged_takes_no_other_with_it(tmp_path):
    file = in_chunks(tmp_path / "bag")
    content = bytearray(file.read_bytes())
    # The length of a message in the second piece: before its channel, number, times, and its stamp.
    at = place(content, 15) - 8 - 4 - 22 - 8
    content[at : at + 8] = b"\xff" * 8
    file.write_bytes(content)
    bag, found = read(tmp_path / "bag")
    there = [int(one.message.frame_id) for one in found]
    assert set(range(10)) <= set(there) and set(range(20, 40)) <= set(there)
    assert any("chunks cannot be read" in problem for problem in bag.problems)
