"""Watches with the policy's monitor whether the episode goes wrong."""

from __future__ import annotations

from asyncvla_ros.observe.episode_monitor import Doubt, EpisodeLimits, EpisodeMonitor, signals_of
from asyncvla_ros.ros.policy.tasks import Followed
from asyncvla_ros.types import ActionChunk


class DoubtWatch:
    """Runs the monitor of episodes; an episode begins when something new is followed.

    Threads: one; ``text_of`` is for any.

    Args:
        limits: Limits of the policy's checkpoint; None: nothing is ever doubtful.
    """

    def __init__(self, limits: EpisodeLimits | None):
        self._monitor = None if limits is None else EpisodeMonitor(limits)
        # Replaced as a whole, so that another thread never pairs a doubt with what it does not belong to.
        self._seen: tuple[Followed | None, Doubt | None] = (None, None)

    def note(self, followed: Followed, answer: ActionChunk) -> bool:
        """Add an answer to the episode; return whether the episode is doubtful now."""
        if self._monitor is None:
            return False
        if followed is not self._seen[0]:
            self._monitor.reset()
        doubt = self._monitor.note(signals_of(answer))
        self._seen = (followed, doubt)
        return doubt.is_doubtful

    def text_of(self, followed: Followed | None) -> str:
        """Return why what is followed is doubtful; empty if it is not."""
        seen, doubt = self._seen
        is_doubtful = followed is not None and followed is seen and doubt is not None and doubt.is_doubtful
        return str(doubt) if is_doubtful else ""
