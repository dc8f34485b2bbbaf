"""Pictures of an episode: annotated video frames, an animation for a README, a timeline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from asyncvla_ros.ros.demo.recorder import InferenceTrace

_VIEW = 336
_HEAD, _FOOT = 44, 96
_INK, _PAPER, _DIM = (235, 235, 235), (24, 26, 30), (130, 135, 145)
_REFINED = (255, 196, 0)


def annotate(inference: InferenceTrace, instruction: str, title: str) -> np.ndarray:
    """Draw all cameras, the instruction, and a bar per action whose height and color are its confidence.

    Returns:
        (476, 336 * cameras, 3) uint8 RGB.
    """
    views = [
        cv2.resize(image, (_VIEW, _VIEW), interpolation=cv2.INTER_CUBIC)
        for image in inference.images.values()
    ]
    middle = np.hstack(views)
    width = middle.shape[1]
    head = np.full((_HEAD, width, 3), _PAPER, np.uint8)
    foot = np.full((_FOOT, width, 3), _PAPER, np.uint8)
    _text(head, instruction, (12, 20), _INK, size=0.5)
    _text(head, title, (12, 37), _DIM, size=0.42)
    confidence = inference.confidence if inference.confidence is not None else np.zeros(0)
    refined = inference.refined if inference.refined is not None else np.zeros(0, bool)
    for i, value in enumerate(confidence):
        left, height = 12 + i * 30, int(60 * float(value))
        cv2.rectangle(foot, (left, 14), (left + 22, 74), (48, 50, 56), -1)
        cv2.rectangle(foot, (left, 74 - height), (left + 22, 74), confidence_color(float(value)), -1)
        if i < len(refined) and refined[i]:
            cv2.rectangle(foot, (left - 2, 12), (left + 24, 76), _REFINED, 1)
    column = 24 + 30 * max(len(confidence), 1)
    if len(confidence):
        _text(
            foot,
            "confidence of each action of the chunk (framed: refined)",
            (12, 90),
            _DIM,
            size=0.38,
        )
        _text(foot, f"mean {confidence.mean():.2f}", (column, 34), _INK, size=0.45)
        _text(foot, f"refined {int(refined.sum())} of {len(refined)}", (column, 54), _REFINED, size=0.45)
    _text(foot, f"inference {inference.inference_ms:.0f} ms", (column, 74), _INK, size=0.45)
    return np.vstack([head, middle, foot])


def confidence_color(value: float) -> tuple[int, int, int]:
    """Map a confidence in [0, 1] to an RGB color, from red over yellow to green."""
    value = min(max(value, 0.0), 1.0)
    return (int(230 * min(1.0, 2 * (1 - value))), int(200 * min(1.0, 2 * value)), 70)


def write_gif(path: Path, frames: Sequence[np.ndarray], fps: float, width: int = 480) -> None:
    """Write an animation small enough for a README."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    height = round(frames[0].shape[0] * width / frames[0].shape[1])
    pages = [Image.fromarray(frame).resize((width, height)).quantize(96) for frame in frames]
    duration = round(1000 / fps)
    pages[0].save(path, save_all=True, append_images=pages[1:], duration=duration, loop=0, optimize=True)


def write_timeline(
    path: Path, inferences: Sequence[InferenceTrace], names: Sequence[str], step_s: float
) -> None:
    """Plot executed actions, confidence and refined actions of each inference, and the gripper over time.

    Args:
        path: The PNG to write.
        inferences: The inferences of one episode.
        names: One per action dim; the last is the gripper.
        step_s: Control step [s].
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    start = inferences[0].stamp_ns
    times, actions = [], []
    for inference in inferences:
        for i, action in enumerate(inference.executed):
            times.append(1e-9 * (inference.stamp_ns - start) + i * step_s)
            actions.append(action)
    values = np.array(actions).reshape(-1, len(names))
    figure, axes = plt.subplots(4, 1, figsize=(10, 9), sharex=True, height_ratios=[2, 1.5, 2, 1])
    for axis, dims, label in (
        (axes[0], range(0, 3), "translation per step [m]"),
        (axes[1], range(3, len(names) - 1), "rotation per step [rad]"),
    ):
        for dim in dims:
            axis.step(times, values[:, dim], where="post", label=names[dim], linewidth=1)
        axis.set_ylabel(label)
        axis.legend(loc="upper right", fontsize=8, ncols=3)
    edges = np.array([1e-9 * (d.stamp_ns - start) for d in inferences])
    edges = np.append(edges, edges[-1] + step_s * max(1, len(inferences[-1].executed)))
    if all(d.confidence is not None and len(d.confidence) for d in inferences):
        rated = np.array([d.confidence for d in inferences]).T
        rows = np.arange(rated.shape[0] + 1)
        mesh = axes[2].pcolormesh(edges, rows, rated, vmin=0, vmax=1, cmap="RdYlGn")
        again = np.array([d.refined for d in inferences]).T
        row, column = np.nonzero(again)
        center = (edges[:-1] + edges[1:]) / 2
        axes[2].plot(center[column], row + 0.5, "k.", markersize=3, label="refined")
        axes[2].legend(loc="upper right", fontsize=8)
        figure.colorbar(mesh, ax=axes, label="confidence", fraction=0.03, pad=0.02)
    axes[2].set_ylabel("action of the chunk")
    axes[3].step(times, values[:, -1], where="post", color="black", linewidth=1)
    axes[3].set_ylabel("gripper\n(-1 open, +1 closed)")
    axes[3].set_xlabel("simulated time [s]")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, bbox_inches="tight")
    plt.close(figure)


def _text(
    image: np.ndarray, text: str, place: tuple[int, int], color: tuple[int, int, int], size: float
) -> None:
    cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, size, color, 1, cv2.LINE_AA)
