"""Writing of episodes as a LeRobot v3 dataset, by the ``lerobot`` library.

Video frames go straight to the encoder, without intermediate image files. A dataset is written under a
temporary name and renamed when complete, because an unfinished one is unreadable.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import av
import numpy as np

from asyncvla_ros.data.dataset import (
    ACTION_KEY,
    EXECUTED_KEY,
    IMAGE_PREFIX,
    PRIVILEGED_KEY,
    STATE_KEY,
    STYLE_KEY,
)
from asyncvla_ros.types import AsyncVLAError, Observation

if TYPE_CHECKING:
    from typing_extensions import Self

PRIVILEGED_NAMES = (
    *("target_from_ee_x", "target_from_ee_y", "target_from_ee_z"),
    *("goal_from_ee_x", "goal_from_ee_y", "goal_from_ee_z"),
)
#: Frames of a demonstration, at least. For one of a single frame lerobot keeps no statistics of the images,
#: and then fails to write the metadata of all, because others have them.
FEWEST_FRAMES = 2
_QUEUE_FRAMES = 2000  # lerobot drops frames when its queue is full; an episode must always fit


def dataset_features(
    cameras: Mapping[str, tuple[int, int]],
    state_names: Sequence[str],
    action_names: Sequence[str],
    privileged_names: Sequence[str] = (),
    *,
    has_executed: bool = False,
    has_style: bool = False,
) -> dict[str, dict[str, Any]]:
    """Declare the features of a dataset for LeRobot.

    Args:
        cameras: (height, width) [px] by camera key.
        state_names: One name per state dim.
        action_names: One name per action dim.
        privileged_names: One name per quantity that only a simulator knows.
        has_executed: Whether the executed action is stored beside the demonstrated one.
        has_style: Whether the style of a demonstration is stored, as a whole number.
    """
    features: dict[str, dict[str, Any]] = {
        f"{IMAGE_PREFIX}{key}": {
            "dtype": "video",
            "shape": (height, width, 3),
            "names": ["height", "width", "channels"],
        }
        for key, (height, width) in cameras.items()
    }
    for key, names in (
        (STATE_KEY, state_names),
        (PRIVILEGED_KEY, privileged_names),
        (ACTION_KEY, action_names),
        (EXECUTED_KEY, action_names if has_executed else ()),
    ):
        if not names:
            continue
        features[key] = {"dtype": "float32", "shape": (len(names),), "names": list(names)}
    if has_style:
        features[STYLE_KEY] = {"dtype": "int64", "shape": (1,), "names": None}
    return features


class DatasetWriter:
    """Write episodes to ``root``, which appears when :meth:`finish` is called.

    Args:
        root: Folder of the dataset; must not exist.
        features: From :func:`dataset_features`.
        fps: Frames (control steps) per second.
        robot_type: Kind of robot for the dataset's metadata.

    Raises:
        AsyncVLAError: ``root`` exists, or lerobot is not installed.
    """

    def __init__(self, root: Path, features: dict[str, dict[str, Any]], fps: int, robot_type: str) -> None:
        if root.exists():
            raise AsyncVLAError(f"{root} exists already, expected a path for a new dataset")
        # Hide the warning of lerobot's second decoder, which may fail to load; only the encoder is used.
        logging.getLogger("lerobot.utils.import_utils").setLevel(logging.ERROR)
        try:
            from datasets import disable_progress_bars
            from lerobot.configs import RGBEncoderConfig
            from lerobot.datasets.lerobot_dataset import LeRobotDataset
        except ImportError as error:
            raise AsyncVLAError(
                "writing datasets needs the package lerobot[dataset] (Python >= 3.12); a robot lacks it: "
                "copy the recordings to a machine with a checkout, and run this after `make setup` there"
            ) from error
        disable_progress_bars()
        # FFmpeg's encoders log their settings for every episode.
        av.logging.set_libav_level(av.logging.ERROR)
        self._root = root
        self._unfinished = root.with_name(f".{root.name}.unfinished")
        shutil.rmtree(self._unfinished, ignore_errors=True)
        root.parent.mkdir(parents=True, exist_ok=True)
        self._dataset = LeRobotDataset.create(
            repo_id=f"local/{root.name}",
            fps=fps,
            features=features,
            root=self._unfinished,
            robot_type=robot_type,
            rgb_encoder=RGBEncoderConfig(vcodec="h264", preset="veryfast", crf=20, g=10, fast_decode=1),
            streaming_encoding=True,
            encoder_queue_maxsize=_QUEUE_FRAMES,
            encoder_threads=1,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.finish()
        else:
            self.abandon()

    def add(
        self,
        observation: Observation,
        action: np.ndarray,
        privileged: np.ndarray | None = None,
        executed: np.ndarray | None = None,
        style: int | None = None,
    ) -> None:
        """Append one control step to the current episode.

        Args:
            observation: The policy's observation.
            action: (d,) action to imitate.
            privileged: Quantities that only a simulator knows, if the features have them.
            executed: (d,) executed action, if the features have it.
            style: Style of the demonstration, if the features have it.
        """
        frame: dict[str, Any] = {f"{IMAGE_PREFIX}{key}": image for key, image in observation.images.items()}
        frame[STATE_KEY] = observation.state
        if privileged is not None:
            frame[PRIVILEGED_KEY] = privileged
        frame[ACTION_KEY] = action
        if executed is not None:
            frame[EXECUTED_KEY] = np.asarray(executed, np.float32)
        if style is not None:
            frame[STYLE_KEY] = np.array([style], np.int64)
        frame["task"] = observation.instruction
        self._dataset.add_frame(frame)

    def save_episode(self) -> None:
        """Keep the current episode."""
        self._dataset.save_episode()

    def discard_episode(self) -> None:
        """Forget the current episode."""
        self._dataset.writer.cancel_pending_videos()
        self._dataset.clear_episode_buffer()

    def finish(self) -> None:
        """Close the files and give the dataset its name."""
        self._dataset.finalize()
        self._unfinished.rename(self._root)

    def abandon(self) -> None:
        """Delete the unfinished dataset."""
        self._dataset.writer.cancel_pending_videos()
        self._dataset.finalize()
        shutil.rmtree(self._unfinished, ignore_errors=True)
