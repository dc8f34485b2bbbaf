"""Single pictures of videos in any order, by torchcodec, or by PyAV if that does not load."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Protocol

import av
import numpy as np

from asyncvla_ros.common.lfs import lfs_remedy
from asyncvla_ros.types import AsyncVLAError

# Number of videos that a process keeps open. An open one needs some MB, and opening is quick beside decoding:
# a batch reads its pictures of one video together.
OPEN_VIDEOS = 2
# Number of pictures to decode together.
_AT_ONCE = 8
# Distance up to which decoding on is faster than a jump to the preceding key frame [s].
_DECODE_ON_S = 0.5


class VideoReader(Protocol):
    """An open video."""

    def pictures(self, seconds: Sequence[float]) -> Iterator[np.ndarray]:
        """Yield the pictures (h, w, 3) uint8 RGB at given times, which do not decrease."""


def read_pictures(file: Path, seconds: Sequence[float]) -> Iterator[np.ndarray]:
    """Yield a video's pictures (h, w, 3) uint8 RGB at given times, which do not decrease.

    Raises:
        AsyncVLAError: the video is missing or truncated, or ends before one of the times.
    """
    with decodable(file):
        # One cache per process, because a decoder does not survive a fork.
        yield from _open_video(file, os.getpid(), by_torchcodec=has_torchcodec()).pictures(seconds)


def video_pictures(file: Path) -> Iterator[np.ndarray]:
    """Yield all pictures (h, w, 3) uint8 RGB of a video in order; AsyncVLAError as above."""
    with decodable(file), av.open(str(file)) as container:
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24")


@cache
def has_torchcodec() -> bool:
    """Return whether torchcodec works; warn once if it does not."""
    try:
        import torchcodec.decoders  # noqa: F401
    except (ImportError, OSError, RuntimeError) as error:
        logging.getLogger(__name__).warning(
            "torchcodec does not load (%s), so PyAV decodes videos, more slowly; torchcodec needs the shared "
            "libraries of FFmpeg: apt-get install ffmpeg",
            str(error).strip().partition("\n")[0],
        )
        return False
    return True


@contextmanager
def decodable(file: Path) -> Iterator[None]:
    """Convert errors of decoders to AsyncVLAError that names the file."""
    try:
        yield
    except (av.FFmpegError, IndexError, OSError, RuntimeError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise AsyncVLAError(f"{file} cannot be decoded ({reason}){lfs_remedy(file)}") from error


@lru_cache(maxsize=OPEN_VIDEOS)
def _open_video(file: Path, process: int, *, by_torchcodec: bool) -> VideoReader:
    return TorchcodecReader(file) if by_torchcodec else PyAVReader(file)


class TorchcodecReader:
    """See ``VideoReader``."""

    def __init__(self, file: Path) -> None:
        from torchcodec.decoders import VideoDecoder

        # "exact" would read the whole file first. One thread, because the loader has several workers.
        self._decoder = VideoDecoder(
            str(file), seek_mode="approximate", num_ffmpeg_threads=1, dimension_order="NHWC"
        )

    def pictures(self, seconds: Sequence[float]) -> Iterator[np.ndarray]:
        """See ``VideoReader``."""
        for start in range(0, len(seconds), _AT_ONCE):
            yield from self._decoder.get_frames_played_at(
                list(seconds[start : start + _AT_ONCE])
            ).data.numpy()


class PyAVReader:
    """See ``VideoReader``."""

    def __init__(self, file: Path) -> None:
        self._container = av.open(str(file))
        self._stream = self._container.streams.video[0]
        if not self._stream.time_base or not self._stream.average_rate:
            raise ValueError("it has no frames")
        self._tick = self._stream.time_base
        self._period = 1 / self._stream.average_rate
        self._frames: Iterator[Any] = iter(())
        self._shown: tuple[float, float] = (np.inf, np.inf)
        self._frame: Any = None

    def pictures(self, seconds: Sequence[float]) -> Iterator[np.ndarray]:
        """See ``VideoReader``."""
        for time in seconds:
            begin, end = self._shown
            if not begin <= time < end:
                if not end <= time < end + _DECODE_ON_S:
                    self._container.seek(round(time / self._tick), stream=self._stream)
                    self._frames = self._container.decode(self._stream)
                self._decode_until(time)
            yield self._frame.to_ndarray(format="rgb24")

    def _decode_until(self, time: float) -> None:
        for frame in self._frames:
            begin = float(frame.pts * self._tick)
            length = frame.duration * self._tick if frame.duration else self._period
            self._frame, self._shown = frame, (begin, begin + float(length))
            if time < self._shown[1]:
                return
        self._shown = (np.inf, np.inf)
        raise ValueError(f"it has no picture at {time:.3f} s")
