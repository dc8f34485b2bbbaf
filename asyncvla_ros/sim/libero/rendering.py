"""Headless rendering: choice of the GL backend, and what makes it faster on a CPU.

The cost of rendering LIBERO on a CPU depends on faces first: merging the vertices of each visual mesh
into cells of ``extent / 35`` cuts a scene from 310,000 to about 73,000 faces and the time per image to a
quarter, with a nearly identical look. Physics does not use the merged meshes. Half of what is left is
multisampling, of which little is to be seen once a policy has scaled its images down.
"""

from __future__ import annotations

import ctypes.util
import os
from typing import Any

import numpy as np

from asyncvla_ros.types import AsyncVLAError

CELLS_PER_EXTENT = 35
#: Least size of a cell [m]; smaller ones look the same at 224 pixels.
MIN_CELL_M = 0.0035
_LIBRARIES = {"egl": "EGL", "osmesa": "OSMesa"}
_PACKAGES = {"egl": "libegl1 libegl-mesa0 libgl1-mesa-dri", "osmesa": "libosmesa6"}
# Other backends of mujoco need a display.
_OTHERS = ("glfw", "glx")


def choose_gl_backend() -> str:
    """Set MUJOCO_GL (and PyOpenGL to match) for headless rendering; call before importing mujoco.

    A value of the user is kept. Otherwise EGL is preferred, with OSMesa as fallback.

    Returns:
        The backend in use.

    Raises:
        AsyncVLAError: neither library is installed, or the chosen one is missing.
    """
    chosen = os.environ.get("MUJOCO_GL", "").lower().strip()
    found = [name for name, library in _LIBRARIES.items() if ctypes.util.find_library(library)]
    if not chosen:
        if not found:
            raise AsyncVLAError(
                f"no headless OpenGL library found, expected EGL (Debian: {_PACKAGES['egl']}) or OSMesa "
                f"({_PACKAGES['osmesa']})"
            )
        chosen = found[0]
        os.environ["MUJOCO_GL"] = chosen
    if chosen in _OTHERS:
        return chosen
    if chosen not in _LIBRARIES:
        raise AsyncVLAError(
            f"MUJOCO_GL is {chosen!r}, expected egl or osmesa, which need no display, or one of "
            f"{', '.join(_OTHERS)}; unset, it is chosen here"
        )
    if chosen not in found:
        raise AsyncVLAError(
            f"MUJOCO_GL is {chosen!r}, and {_LIBRARIES[chosen]} is not installed (Debian: "
            f"{_PACKAGES[chosen]})"
        )
    # PyOpenGL reads this variable and must have the same backend.
    os.environ["PYOPENGL_PLATFORM"] = chosen
    return chosen


def merge_vertices(vertices: np.ndarray, faces: np.ndarray, cell: float) -> tuple[np.ndarray, np.ndarray]:
    """Move every vertex to the mean of its grid cell and find the faces that survive.

    Args:
        vertices: (v, 3) positions [m].
        faces: (f, 3) vertex indices.
        cell: edge of a grid cell [m].

    Returns:
        (v, 3) moved vertices; (f,) bool, False for faces that collapsed or repeat another one.
    """
    keys = np.floor((vertices - vertices.min(axis=0)) / cell).astype(np.int64)
    _, cluster = np.unique(keys, axis=0, return_inverse=True)
    cluster = cluster.reshape(-1)
    counts = np.bincount(cluster)
    centers = np.stack([np.bincount(cluster, weights=vertices[:, i]) / counts for i in range(3)], axis=1)

    corners = cluster[faces]
    distinct = (
        (corners[:, 0] != corners[:, 1]) & (corners[:, 1] != corners[:, 2]) & (corners[:, 0] != corners[:, 2])
    )
    # Smallest corner first, orientation kept, so that the two sides of a thin wall stay two faces.
    first = np.argmin(corners, axis=1)
    rolled = np.take_along_axis(corners, (first[:, None] + np.arange(3)) % 3, axis=1)
    _, unique_rows = np.unique(rolled, axis=0, return_index=True)
    kept = np.zeros(len(faces), dtype=bool)
    kept[unique_rows] = True
    return centers[cluster], kept & distinct


def render_fast(model: Any, context: Any) -> None:
    """Let a GL context render merged meshes, each pixel from one sample.

    Args:
        model: ``mujoco.MjModel``.
        context: ``mujoco.MjrContext`` whose GL context is current.
    """
    import mujoco

    upload_decimated_meshes(model, context)
    context.offSamples = 0
    # Makes the buffer again, which it does only for another size.
    mujoco.mjr_resizeOffscreen(context.offWidth, context.offHeight + 1, context)


def upload_decimated_meshes(model: Any, context: Any) -> tuple[int, int]:
    """Upload merged copies of all visual meshes to a GL context; leave the model unchanged.

    Args:
        model: ``mujoco.MjModel``.
        context: ``mujoco.MjrContext`` whose GL context is current.

    Returns:
        Number of faces of the visual meshes before and after.
    """
    import mujoco

    is_mesh = model.geom_type == mujoco.mjtGeom.mjGEOM_MESH
    collides = (model.geom_contype != 0) | (model.geom_conaffinity != 0)
    visual = set(model.geom_dataid[is_mesh & ~collides].tolist())
    before = after = 0
    for mesh in sorted(visual):
        vertex_rows = slice(model.mesh_vertadr[mesh], model.mesh_vertadr[mesh] + model.mesh_vertnum[mesh])
        face_count = int(model.mesh_facenum[mesh])
        face_rows = slice(model.mesh_faceadr[mesh], model.mesh_faceadr[mesh] + face_count)
        vertices = model.mesh_vert[vertex_rows].copy()
        saved = {
            name: getattr(model, name)[face_rows].copy()
            for name in ("mesh_face", "mesh_facenormal", "mesh_facetexcoord")
        }
        extent = float(np.ptp(vertices, axis=0).max())
        moved, kept = merge_vertices(
            vertices.astype(np.float64), saved["mesh_face"], max(extent / CELLS_PER_EXTENT, MIN_CELL_M)
        )
        kept_count = int(kept.sum())
        before += face_count
        if kept_count == 0:
            after += face_count
            continue
        after += kept_count

        model.mesh_vert[vertex_rows] = moved
        kept_rows = slice(face_rows.start, face_rows.start + kept_count)
        for name, values in saved.items():
            getattr(model, name)[kept_rows] = values[kept]
        model.mesh_facenum[mesh] = kept_count
        mujoco.mjr_uploadMesh(model, context, mesh)

        model.mesh_vert[vertex_rows] = vertices
        for name, values in saved.items():
            getattr(model, name)[face_rows] = values
        model.mesh_facenum[mesh] = face_count
    return before, after
