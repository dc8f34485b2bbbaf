"""Report of episodes whose states or actions are not numbers."""

from __future__ import annotations

import numpy as np

from asyncvla_ros.data.contracts import action_names, state_names
from asyncvla_ros.data.dataset import DatasetInfo
from asyncvla_ros.data.spec import DatasetSpec
from asyncvla_ros.data.tables import EpisodeTable
from asyncvla_ros.types import AsyncVLAError

#: Most names and episodes that an error lists.
LISTED = 5


class BrokenFrames:
    """Values of a dataset that are not numbers, collected episode by episode."""

    def __init__(self, info: DatasetInfo, spec: DatasetSpec) -> None:
        self._info, self._spec = info, spec
        self._first = ""
        self._episodes: list[int] = []
        self._total = 0

    def add(self, episode: EpisodeTable) -> bool:
        """Check the next episode; return whether it is broken."""
        self._total += 1
        finite = episode.finite
        if finite.all():
            return False
        if not self._episodes:
            frame = int(np.flatnonzero(~finite)[0])
            names = (*state_names(self._info, self._spec), *action_names(self._info, self._spec))
            values = (*episode.state[frame].tolist(), *episode.action[frame].tolist())
            wrong = [f"{n} = {v}" for n, v in zip(names, values, strict=True) if not np.isfinite(v)]
            self._first = f"{', '.join(wrong[:LISTED])} in frame {frame} of episode {episode.number}"
        self._episodes.append(episode.number)
        return True

    def text(self) -> str | None:
        """Describe the first broken values and count their episodes; None without any."""
        if not self._episodes:
            return None
        listed = ", ".join(map(str, self._episodes[:LISTED])) + (
            ", ..." if len(self._episodes) > LISTED else ""
        )
        return (
            f"{self._info.root}: {self._first}; {len(self._episodes)} of {self._total} episodes have such "
            f"frames ({listed})"
        )

    def require_none(self, *, skip_broken: bool) -> None:
        """Raise AsyncVLAError if broken episodes are not skipped, or all episodes are broken."""
        if self._episodes and not skip_broken:
            raise AsyncVLAError(f"{self.text()}; leave these episodes out with --skip-broken")
        if len(self._episodes) == self._total:
            raise AsyncVLAError(f"{self._info.root}: every episode has states or actions that are no numbers")
