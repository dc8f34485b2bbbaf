"""``asyncvla to-bag``: an episode of a LeRobot dataset, v2.1 or v3, as a recording of its robot."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import yaml

from asyncvla_ros.bags.episode import ROBOT_FILE, UNKNOWN, EpisodeNote
from asyncvla_ros.bags.robot_topics import resolve
from asyncvla_ros.bags.writer import BagWriter
from asyncvla_ros.common.provenance import provenance
from asyncvla_ros.data.contracts import dim_names
from asyncvla_ros.data.dataset import ACTION_KEY, IMAGE_PREFIX, STATE_KEY, DatasetInfo, dataset_info
from asyncvla_ros.data.encoded_image import to_jpeg, to_png
from asyncvla_ros.data.frames import pictures
from asyncvla_ros.data.spec import DatasetSpec
from asyncvla_ros.data.tables import read_episodes, read_parquet, read_tasks
from asyncvla_ros.data.video_reader import video_pictures
from asyncvla_ros.robot.contract import CameraSource, PoseSource, RobotContract
from asyncvla_ros.types import AsyncVLAError

IMAGES = ("jpeg", "png", "raw")
JPEG_QUALITY = 95
# When the recording begins [ns]: as good as any other time, and the same each time.
BEGIN_NS = 1_700_000_000_000_000_000
# Limits of a drafted contract: of the episode's values, and this share of their range more.
MARGIN = 0.1


@dataclass(frozen=True)
class DatasetEpisode:
    """One episode.

    Attributes:
        info: Of its dataset.
        state: (n, s) float32.
        action: (n, d) float32.
        instruction: What was to be done.
        images: Camera key to its pictures, frame by frame, each (h, w, 3) uint8 RGB.
    """

    info: DatasetInfo
    state: np.ndarray
    action: np.ndarray
    instruction: str
    images: Mapping[str, Iterator[np.ndarray]]


def read_episode(root: Path, number: int) -> DatasetEpisode:
    """Read an episode.

    Raises:
        AsyncVLAError: there is no such dataset, or no such episode in it.
    """
    try:
        version = str(
            json.loads((root / "meta" / "info.json").read_text(encoding="utf-8"))["codebase_version"]
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AsyncVLAError(f"{root} is no LeRobot dataset: meta/info.json cannot be read") from error
    if version.startswith("v2.1"):
        return _episode_v21(root, number)
    info = dataset_info(root)
    last = 0
    for episode in read_episodes(info, DatasetSpec(root)):
        last = episode.number
        if last == number:
            break
    else:
        raise AsyncVLAError(f"{root} has no episode {number}; it has 0 to {last}")
    rows = range(episode.first, episode.first + len(episode))
    images = {key.removeprefix(IMAGE_PREFIX): pictures(info, key, rows) for key in info.cameras}
    instruction = read_tasks(root)[int(episode.task[0])]
    return DatasetEpisode(info, episode.state, episode.action, instruction, images=images)


def _episode_v21(root: Path, number: int) -> DatasetEpisode:
    values = json.loads((root / "meta" / "info.json").read_text(encoding="utf-8"))
    try:
        info = DatasetInfo(root, float(values["fps"]), values["features"])
        place = {"episode_chunk": number // int(values["chunks_size"]), "episode_index": number}
        file = root / values["data_path"].format(**place)
        videos = {key: root / values["video_path"].format(video_key=key, **place) for key in info.cameras}
        tasks = [json.loads(line) for line in (root / "meta" / "tasks.jsonl").read_text("utf-8").splitlines()]
        names = {task["task_index"]: task["task"] for task in tasks}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise AsyncVLAError(f"{root}: meta is not as LeRobot v2.1 writes it ({error})") from error
    if not file.is_file():
        raise AsyncVLAError(f"{root} has no episode {number}; it has {values.get('total_episodes')} of them")
    table = read_parquet(file, (STATE_KEY, ACTION_KEY, "task_index"))
    vectors = {
        key: np.array(pc.list_flatten(table[key]), np.float32).reshape(len(table), -1)
        for key in (STATE_KEY, ACTION_KEY)
    }
    task = table["task_index"][0].as_py()
    images = {key.removeprefix(IMAGE_PREFIX): video_pictures(videos[key]) for key in info.cameras}
    return DatasetEpisode(
        info, vectors[STATE_KEY], vectors[ACTION_KEY], str(names.get(task, "")), images=images
    )


def write_bag(episode: DatasetEpisode, out: Path, robot: RobotContract, contract: str, images: str) -> int:
    """Write a recording and return its number of frames.

    Args:
        episode: What it holds.
        out: Folder of the recording; must not exist.
        robot: Whose topics it has.
        contract: Text of the robot's contract, kept beside the recording.
        images: One of ``IMAGES``; those of cameras that the contract has as raw are raw.

    Raises:
        AsyncVLAError: the robot does not fit the dataset.
        RunError: it cannot be written.
    """
    if images not in IMAGES:
        raise AsyncVLAError(f"--images is {images!r}, choose one of {IMAGES}")
    _check(episode, robot)
    with BagWriter(out) as bag:
        note = EpisodeNote(
            instruction=episode.instruction,
            outcome=UNKNOWN,
            robot=robot.name,
            versions=provenance()["versions"],
        )
        note.write(out)
        (out / ROBOT_FILE).write_text(contract, encoding="utf-8")
        writer = _EpisodeBag(bag, robot, images)
        count = len(episode.state)
        streams = [episode.images[camera.key] for camera in robot.cameras]
        for frame, pictures_now in enumerate(zip(*streams, strict=False)):
            if frame == count:
                break
            stamp_ns = BEGIN_NS + round(frame * 1e9 / episode.info.fps)
            writer.state(stamp_ns, episode.state[frame])
            for camera, picture in zip(robot.cameras, pictures_now, strict=True):
                writer.image(stamp_ns, camera, picture)
            writer.command(stamp_ns, frame, episode.action[frame], episode.instruction)
        written = bag.counts[writer.command_topic]
    if written != count:
        raise AsyncVLAError(f"{episode.info.root}: {written} images of {count} frames in the videos")
    return count


def _check(episode: DatasetEpisode, robot: RobotContract) -> None:
    info = episode.info
    expected = {
        "state": (dim_names(info, STATE_KEY), robot.state_names),
        "action": (dim_names(info, ACTION_KEY), robot.dof_names),
    }
    for what, (names, found) in expected.items():
        if len(names) != len(found):
            raise AsyncVLAError(f"{what}: the dataset has {len(names)} dims, {robot.name} has {len(found)}")
    missing = [camera.key for camera in robot.cameras if camera.key not in episode.images]
    if missing:
        raise AsyncVLAError(
            f"cameras {', '.join(missing)} are not in the dataset: {', '.join(episode.images)}"
        )
    if abs(info.fps - robot.action_hz) > 1e-6:
        raise AsyncVLAError(
            f"the dataset has {info.fps:g} frames per second, {robot.name} {robot.action_hz:g}"
        )


class _EpisodeBag:
    """Messages of a robot, frame by frame."""

    def __init__(self, bag: BagWriter, robot: RobotContract, images: str):
        self._bag, self._robot, self._images = bag, robot, images
        self.command_topic = resolve("~/command", "")

    def state(self, stamp_ns: int, state: np.ndarray) -> None:
        """Write the state (s,), source by source."""
        make, first = self._bag.messages, 0
        for source in self._robot.state:
            part = state[first : first + len(source.names)].astype(np.float64)
            first += len(source.names)
            if isinstance(source, PoseSource):
                message = make.pose(make.header(stamp_ns, self._robot.base_frame), part)
            else:
                message = make.make(
                    "sensor_msgs/msg/JointState",
                    header=make.header(stamp_ns),
                    name=list(source.joints),
                    position=part,
                )
            self._bag.write(resolve(source.topic, ""), stamp_ns, message)

    def image(self, stamp_ns: int, camera: CameraSource, image: np.ndarray) -> None:
        """Write a camera image."""
        make = self._bag.messages
        header = make.header(stamp_ns, camera.key)
        if camera.transport == "raw" or self._images == "raw":
            height, width = image.shape[:2]
            message = make.make(
                "sensor_msgs/msg/Image",
                header=header,
                height=height,
                width=width,
                encoding="rgb8",
                step=3 * width,
                data=np.ascontiguousarray(image).ravel(),
            )
        else:
            content = to_png(image) if self._images == "png" else to_jpeg(image, quality=JPEG_QUALITY)
            message = make.make(
                "sensor_msgs/msg/CompressedImage",
                header=header,
                format=self._images,
                data=np.frombuffer(content, np.uint8),
            )
        self._bag.write(resolve(camera.topic, ""), stamp_ns, message)

    def command(self, stamp_ns: int, frame: int, action: np.ndarray, instruction: str) -> None:
        """Write the executed action (d,), in units of the dataset."""
        make, robot = self._bag.messages, self._robot
        message = make.make(
            "asyncvla_msgs/msg/ActionCommand",
            header=make.header(stamp_ns, robot.base_frame),
            source=1,
            index=frame % 2**16,
            observation_stamp=make.time(stamp_ns),
            action_space=robot.action_space,
            dof_names=list(robot.dof_names),
            action=(action * robot.scale).astype(np.float32),
            confidence=float("nan"),
        )
        self._bag.write(self.command_topic, stamp_ns, message)


def draft_contract(episode: DatasetEpisode, action_space: str) -> str:
    """Draft a contract as text: a dataset's joints, compressed cameras, and limits around what was done.

    Args:
        episode: Of the dataset.
        action_space: Of the actions.
    """
    info = episode.info
    state, action = dim_names(info, STATE_KEY), dim_names(info, ACTION_KEY)
    span = np.ptp(episode.action, axis=0)
    margin = MARGIN * np.maximum(span, 1e-3)
    lower, upper = episode.action.min(axis=0) - margin, episode.action.max(axis=0) + margin
    key = "step" if action_space.startswith("delta") else "position"
    values = {
        "name": re.sub(r"\W+", "_", info.root.resolve().name).strip("_").lower() or "robot",
        "action_hz": info.fps,
        "base_frame": "base_link",
        "cameras": [
            {"key": name, "topic": f"{name}/image_raw/compressed", "transport": "compressed"}
            for name in (camera.removeprefix(IMAGE_PREFIX) for camera in info.cameras)
        ],
        "state": [
            {"type": "JointState", "topic": "joint_states", "joints": list(state), "names": list(state)}
        ],
        "action": {
            "space": action_space,
            "dofs": [
                {
                    "name": name,
                    "unit": "rad",
                    "scale": 1.0,
                    "limits": {key: [round(float(low), 4), round(float(high), 4)]},
                }
                for name, low, high in zip(action, lower, upper, strict=True)
            ],
        },
        "outputs": [{"adapter": "action_command", "topic": "~/command"}],
        "timeouts": {"chunk_s": 0.5, "observation_s": 0.5},
    }
    head = (
        "# Drafted from a dataset, to replay and to convert: units and limits are guesses from one episode.\n"
        "# To move an arm, begin with `asyncvla new-robot`.\n"
    )
    return head + yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
