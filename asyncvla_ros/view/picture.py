"""The markers of a chunk as a picture, for documents and reports."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from asyncvla_ros.view.chunk_view import ChunkView
from asyncvla_ros.view.colors import LOWEST, SCALE


def write_picture(path: Path, view: ChunkView, title: str) -> None:
    """Draw a path as rviz shows it: lines, balls, and cubes for refined actions.

    Args:
        path: The image to write; its suffix is the format.
        view: What to draw.
        title: Title of the picture.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import colors
    from matplotlib import pyplot as plt
    from mpl_toolkits.mplot3d.art3d import Line3DCollection

    figure = plt.figure(figsize=(7.5, 5.5))
    axes = figure.add_subplot(projection="3d")
    axes.add_collection(Line3DCollection(view.segments, colors=view.colors, linewidths=3))
    ends = view.points[1:]
    for marker, chosen, label in (
        ("o", ~view.refined, "action"),
        ("s", view.refined, "refined"),
    ):
        x, y, z = ends[chosen].T
        axes.scatter(x, y, z, c=view.colors[chosen], marker=marker, s=60, label=label, depthshade=False)
    axes.scatter(*view.points[0], color="black", marker="x", s=50, label="measured pose")
    middle, span = view.points.mean(axis=0), max(float(np.ptp(view.points, axis=0).max()), 1e-3)
    axes.set(
        xlim=(middle[0] - span / 2, middle[0] + span / 2),
        ylim=(middle[1] - span / 2, middle[1] + span / 2),
        zlim=(middle[2] - span / 2, middle[2] + span / 2),
        xlabel="x [m]",
        ylabel="y [m]",
        zlabel="z [m]",
        title=title,
    )
    axes.legend(loc="upper left", fontsize=8)
    scale = matplotlib.colormaps[SCALE](np.linspace(LOWEST, 1.0, 256))
    colorbar = plt.cm.ScalarMappable(cmap=colors.ListedColormap(scale))
    figure.colorbar(colorbar, ax=axes, label="confidence", fraction=0.03, pad=0.1)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, bbox_inches="tight")
    plt.close(figure)
