"""What the demo's observer makes of chunks; the test plays the node that calls it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from asyncvla_ros.ros.conversions import chunk_to_message
from asyncvla_ros.ros.demo.recorder import Recorder
from support.contracts import chunk, libero_panda
from support.fake_robot import image_message

pytestmark = pytest.mark.ros


def test_the_end_of_a_task_is_no_answer_to_an_observation():
    hears = {}
    node = SimpleNamespace(
        create_subscription=lambda kind, topic, callback, qos: hears.update({topic: callback})
    )
    recorder = Recorder(node, libero_panda(), "chunks", "commands")
    for camera in libero_panda().cameras:
        hears[camera.topic](image_message(5))
    answer = chunk(1, stamp_ns=5)
    for sent in (answer, chunk(2, stamp_ns=5, length=0), chunk(3, stamp_ns=9, length=0)):
        hears["chunks"](chunk_to_message(sent, "base", 0))
    np.testing.assert_array_equal(recorder.newest().actions, answer.actions)
    assert [inference.stamp_ns for inference in recorder.take()] == [5]
