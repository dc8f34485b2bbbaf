"""Converts RGB arrays to messages."""

from __future__ import annotations

import array

import numpy as np
from sensor_msgs.msg import Image
from std_msgs.msg import Header


def rgb_message(image: np.ndarray, header: Header) -> Image:
    """Convert an (h, w, 3) uint8 RGB image to its message."""
    height, width = image.shape[:2]
    message = Image(header=header, height=height, width=width, encoding="rgb8", step=3 * width)
    message.data = array.array("B", image.tobytes())
    return message
