from __future__ import annotations

import ctypes.util
import os
import subprocess
import sys
import tempfile

import numpy as np
import pytest

from asyncvla_ros.sim.libero.rendering import choose_gl_backend, merge_vertices
from asyncvla_ros.types import AsyncVLAError


def _grid(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Make a unit square of n x n vertices, with two triangles per cell."""
    axis = np.linspace(0, 1, n)
    vertices = np.array([[x, y, 0.0] for x in axis for y in axis])
    corner = np.array([[i * n + j, i * n + j + 1, i * n + j + n] for i in range(n - 1) for j in range(n - 1)])
    opposite = np.array(
        [[i * n + j + 1, i * n + j + n + 1, i * n + j + n] for i in range(n - 1) for j in range(n - 1)]
    )
    return vertices, np.vstack([corner, opposite])


def test_tiny_cells_change_nothing() -> None:
    vertices, faces = _grid(8)
    moved, kept = merge_vertices(vertices, faces, cell=1e-3)
    np.testing.assert_allclose(moved, vertices)
    assert kept.all()


def test_large_cells_keep_the_shape_with_fewer_faces() -> None:
    vertices, faces = _grid(40)
    moved, kept = merge_vertices(vertices, faces, cell=0.125)
    assert kept.sum() < len(faces) / 8
    assert np.abs(moved - vertices).max() < 0.125
    a, b, c = (moved[faces[kept, i]] for i in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2
    assert area == pytest.approx(1.0, abs=0.35)


def test_the_two_sides_of_a_thin_wall_both_stay() -> None:
    vertices = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]])
    faces = np.array([[0, 1, 2], [0, 2, 1], [1, 2, 0]])
    _, kept = merge_vertices(vertices, faces, cell=0.01)
    assert kept.tolist() == [True, True, False]


def test_the_users_backend_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    monkeypatch.setenv("PYOPENGL_PLATFORM", "egl")
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: name)
    assert choose_gl_backend() == "osmesa"
    assert os.environ["PYOPENGL_PLATFORM"] == "osmesa", "one for both"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("cuda", "MUJOCO_GL is 'cuda', expected egl or osmesa"),
        ("osmesa", "OSMesa is not installed (Debian: libosmesa6)"),
    ],
)
def test_a_backend_that_cannot_be_is_refused(monkeypatch: pytest.MonkeyPatch, value: str, words: str) -> None:
    monkeypatch.setenv("MUJOCO_GL", value)
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: None)
    with pytest.raises(AsyncVLAError) as refusal:
        choose_gl_backend()
    assert words in str(refusal.value)


def test_robosuite_writes_only_what_is_its_users(monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import logging, os\n"
        "from asyncvla_ros.sim.libero.importing import prepare_import\n"
        "os.access = lambda path, mode: False\n"
        "prepare_import()\n"
        "import robosuite\n"
        "print([type(one).__name__ for one in logging.getLogger('robosuite_logs').handlers])\n"
        "print(os.environ['NUMBA_CACHE_DIR'])"
    )
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    handlers, cache = ended.stdout.splitlines()
    assert "FileHandler" not in handlers, "/tmp/robosuite.log is another user's"
    assert cache.startswith(tempfile.gettempdir())


@pytest.mark.parametrize(("installed", "chosen"), [({"EGL", "OSMesa"}, "egl"), ({"OSMesa"}, "osmesa")])
def test_egl_before_osmesa(monkeypatch: pytest.MonkeyPatch, installed: set[str], chosen: str) -> None:
    monkeypatch.setenv("MUJOCO_GL", "")
    monkeypatch.setenv("PYOPENGL_PLATFORM", "")
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: name if name in installed else None)
    assert choose_gl_backend() == chosen


def test_without_a_library_the_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUJOCO_GL", "")
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: None)
    with pytest.raises(AsyncVLAError, match="libegl1"):
        choose_gl_backend()
