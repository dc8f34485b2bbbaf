"""A camera image with a panel of the policy's state."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from asyncvla_ros.control.types import Mode
from asyncvla_ros.view.colors import confidence_rgba

# Least width [px]; images of small cameras are enlarged, so that the text fits.
MIN_WIDTH = 480
PANEL = 96
MARGIN = 10
_INK, _DIM, _PAPER, _GROOVE = (235, 235, 235), (140, 145, 155), (24, 26, 30), (48, 50, 56)
_MODES = {
    Mode.IDLE: _DIM,
    Mode.TRACKING: (90, 200, 120),
    Mode.HOLDING: (240, 180, 60),
    Mode.FAULT: (235, 80, 70),
    Mode.ESTOP: (235, 80, 70),
}


@dataclass(frozen=True)
class Caption:
    """Content of the panel.

    Attributes:
        instruction: The task the chunk follows; empty: none.
        mode: Mode of the controller; None: unknown.
        reason: Reason for the mode.
        confidence: (l,) of the actions of the chunk, NaN where unknown; empty without a chunk.
        refined: (l,) bool, true for refined actions.
        executed: Number of leading actions that have been executed.
        latency_s: Duration of inference [s].
    """

    instruction: str = ""
    mode: Mode | None = None
    reason: str = ""
    confidence: np.ndarray = field(default_factory=lambda: np.zeros(0))
    refined: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    executed: int = 0
    latency_s: float = float("nan")


def draw_overlay(image: np.ndarray, caption: Caption) -> np.ndarray:
    """Draw a panel below an image: instruction, mode, a bar of each action's confidence, latency.

    Args:
        image: (h, w, 3) uint8 RGB.
        caption: Content of the panel.

    Returns:
        (h' + PANEL, w', 3) uint8 RGB, where w' is at least ``MIN_WIDTH``.
    """
    scale = max(1.0, MIN_WIDTH / image.shape[1])
    size = round(image.shape[1] * scale), round(image.shape[0] * scale)
    picture = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR) if scale > 1.0 else image
    panel = np.full((PANEL, picture.shape[1], 3), _PAPER, np.uint8)
    _write(
        panel,
        caption.instruction or "no instruction",
        MARGIN,
        20,
        color=_INK if caption.instruction else _DIM,
    )
    mode = "controller unknown" if caption.mode is None else f"{caption.mode.name} {caption.reason}"
    _write(panel, mode, MARGIN, 40, color=_DIM if caption.mode is None else _MODES[caption.mode])
    _draw_bar(panel, caption)
    _write(panel, _metrics(caption), MARGIN, 88, color=_DIM)
    return np.vstack([picture, panel])


def _metrics(caption: Caption) -> str:
    known = caption.confidence[np.isfinite(caption.confidence)]
    parts = [
        f"confidence {known.mean():.2f}" if known.size else "confidence -",
        f"refined {int(caption.refined.sum())} of {len(caption.confidence)}",
        f"inference {1e3 * caption.latency_s:.0f} ms" if np.isfinite(caption.latency_s) else "inference -",
    ]
    return "   ".join(parts)


def _draw_bar(panel: np.ndarray, caption: Caption) -> None:
    """Draw one cell per action, filled and colored by its confidence, with a frame if refined."""
    top, bottom, width = 48, 72, panel.shape[1] - 2 * MARGIN
    cv2.rectangle(panel, (MARGIN, top), (MARGIN + width, bottom), _GROOVE, -1)
    edges = np.linspace(MARGIN, MARGIN + width, len(caption.confidence) + 1).round().astype(int)
    colors = (255 * confidence_rgba(caption.confidence)[:, :3]).round().astype(int)
    colors[: caption.executed] = (colors[: caption.executed] + 2 * np.array(_PAPER)) // 3
    heights = np.nan_to_num(np.clip(caption.confidence, 0.0, 1.0), nan=1.0) * (bottom - top)
    for i, (left, right) in enumerate(zip(edges[:-1] + 1, edges[1:] - 1, strict=True)):
        color = tuple(colors[i].tolist())
        cv2.rectangle(panel, (int(left), bottom - int(heights[i])), (int(right), bottom), color, -1)
        if caption.refined[i]:
            cv2.rectangle(panel, (int(left), top), (int(right), bottom), _INK, 1)


def _write(panel: np.ndarray, text: str, left: int, base: int, color: tuple[int, int, int]) -> None:
    # OpenCV's fonts have only ASCII.
    plain = text.encode("ascii", "replace").decode()
    cv2.putText(panel, plain, (left, base), cv2.FONT_HERSHEY_SIMPLEX, 0.42, color, 1, cv2.LINE_AA)
