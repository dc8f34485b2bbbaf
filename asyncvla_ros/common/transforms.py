"""Rigid-body conversions shared by simulation, ROS and data preparation (numpy only)."""

from __future__ import annotations

import numpy as np


def quat_xyzw_to_matrix(quat_xyzw: np.ndarray) -> np.ndarray:
    """Convert a quaternion, which need not be normalized, to a rotation matrix.

    Args:
        quat_xyzw: (4,) quaternion, x y z w.

    Returns:
        (3, 3) float64 rotation matrix.

    Raises:
        ValueError: the quaternion is not finite or has no length.
    """
    quat = np.asarray(quat_xyzw, dtype=np.float64)
    norm = float(np.linalg.norm(quat))
    if quat.shape != (4,) or not np.isfinite(norm) or norm < 1e-9:
        raise ValueError(f"expected a finite quaternion x y z w of non-zero length, got {quat_xyzw}")
    x, y, z, w = quat / norm
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def matrix_to_quat_xyzw(matrix: np.ndarray) -> np.ndarray:
    """Convert a (3, 3) rotation matrix to a quaternion with w >= 0.

    Returns:
        (4,) float64 quaternion, x y z w, of unit length.
    """
    m = np.asarray(matrix, dtype=np.float64).reshape(3, 3)
    # The largest of the four squared components is the numerically safe one to divide by.
    squares = np.array(
        [
            1 + m[0, 0] - m[1, 1] - m[2, 2],
            1 - m[0, 0] + m[1, 1] - m[2, 2],
            1 - m[0, 0] - m[1, 1] + m[2, 2],
            1 + m[0, 0] + m[1, 1] + m[2, 2],
        ]
    )
    rows = (
        (squares[0], m[0, 1] + m[1, 0], m[0, 2] + m[2, 0], m[2, 1] - m[1, 2]),
        (m[0, 1] + m[1, 0], squares[1], m[1, 2] + m[2, 1], m[0, 2] - m[2, 0]),
        (m[0, 2] + m[2, 0], m[1, 2] + m[2, 1], squares[2], m[1, 0] - m[0, 1]),
        (m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1], squares[3]),
    )
    quat = np.array(rows[int(np.argmax(squares))])
    quat /= np.linalg.norm(quat)
    return quat if quat[3] >= 0 else -quat


def quat_xyzw_to_axis_angle(quat_xyzw: np.ndarray) -> np.ndarray:
    """Convert a unit quaternion to a rotation vector, the long way round where w is negative.

    So the vector is continuous where the quaternion is, also near pi, as for a hand that points down.

    Args:
        quat_xyzw: (4,) quaternion, x y z w.

    Returns:
        (3,) float64 rotation vector, up to 2 pi long [rad].
    """
    axis, w = np.asarray(quat_xyzw[:3], dtype=np.float64), float(quat_xyzw[3])
    length = float(np.linalg.norm(axis))
    return np.zeros(3) if length < 1e-12 else axis / length * 2 * np.arctan2(length, w)


def pose_to_state(position: np.ndarray, quat_xyzw: np.ndarray) -> np.ndarray:
    """Convert a pose to the policy's nine numbers: position and two columns of the rotation matrix.

    Unlike a quaternion or an axis-angle vector these are continuous in the pose.

    Args:
        position: (3,) [m].
        quat_xyzw: (4,) orientation, x y z w.

    Returns:
        (9,) float32: x y z, r11 r21 r31, r12 r22 r32.
    """
    rotation = quat_xyzw_to_matrix(quat_xyzw)
    return np.concatenate([np.asarray(position, dtype=np.float64), rotation[:, 0], rotation[:, 1]]).astype(
        np.float32
    )


def state_to_pose(state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Invert ``pose_to_state``; a policy's columns need be neither of unit length nor orthogonal.

    Args:
        state: (9,) x y z, r11 r21 r31, r12 r22 r32.

    Returns:
        (3,) position [m] and (4,) orientation, x y z w; both float64.

    Raises:
        ValueError: the columns are not finite, (nearly) parallel or zero, so they describe no orientation.
    """
    values = np.asarray(state, dtype=np.float64)
    first, second = values[3:6], values[6:9]
    normal = np.cross(first, second)
    lengths = np.linalg.norm(first), np.linalg.norm(normal)
    if not np.all(np.isfinite(values)) or min(lengths) < 1e-3:
        raise ValueError(f"expected two finite, independent columns of a rotation matrix, got {values[3:]}")
    x, z = first / lengths[0], normal / lengths[1]
    return values[:3], matrix_to_quat_xyzw(np.column_stack([x, np.cross(z, x), z]))
