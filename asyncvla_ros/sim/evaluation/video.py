"""Write images as an MP4 that browsers play."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np

from asyncvla_ros.types import AsyncVLAError, Observation


def write_video(path: Path, frames: Iterable[np.ndarray], fps: float) -> None:
    """Encode frames as H.264.

    Args:
        path: the MP4 to write; its folder is created.
        frames: (h, w, 3) uint8 RGB images of one size, h and w even.
        fps: frames per second.

    Raises:
        AsyncVLAError: PyAV is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise AsyncVLAError("writing videos needs the package av (PyAV)") from error
    path.parent.mkdir(parents=True, exist_ok=True)
    rate = Fraction(fps).limit_denominator(1000)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "20", "preset": "veryfast"})
        stream.pix_fmt = "yuv420p"
        for index, frame in enumerate(frames):
            if index == 0:
                stream.height, stream.width = frame.shape[:2]
            container.mux(
                stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24"))
            )
        container.mux(stream.encode())


def side_by_side(observation: Observation) -> np.ndarray:
    """Put all camera images of an observation in one row, (h, sum of w, 3) uint8."""
    return np.hstack(list(observation.images.values()))
