from __future__ import annotations

import cv2
import numpy as np

from asyncvla_ros.view.chunk_view import ChunkView
from asyncvla_ros.view.colors import confidence_rgba
from asyncvla_ros.view.picture import write_picture


def test_a_picture_is_written_even_of_a_path_that_stands_still(tmp_path):
    colors = confidence_rgba(np.array([0.2, 0.9]))
    for name, points in (("moves", np.diag([0.1, 0.2, 0.3])), ("stands", np.zeros((3, 3)))):
        view = ChunkView(points, colors, np.array([True, False]), 1)
        path = tmp_path / "pictures" / f"{name}.png"
        write_picture(path, view, name)
        assert cv2.imread(str(path)).std() > 0
