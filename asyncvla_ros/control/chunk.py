"""A chunk of actions with times of the node clock, as the controller receives it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class StampedChunk:
    """Actions, one due every ``action_period_ns`` from ``begin_ns`` on. Without actions it ends the motion.

    Nothing is checked here: ``asyncvla_ros.control.safety.check_chunk`` decides whether a chunk may be used.

    Attributes:
        session_id: Drawn at random by each activation of a policy; chunk ids count within it.
        chunk_id: Counts up by one per chunk of the session, from 1.
        stamp_ns: Acquisition time of the observation [ns, node clock]; of an end, when it was sent.
        action_period_ns: Time between two consecutive actions [ns].
        action_space: See ``FeatureContract.action_space``.
        dof_names: One name per action dim, in order.
        actions: (l, d) float32, physical units of the robot contract; l = 0: see ``is_end``.
        confidence: (l,) float32 in (0, 1), or None without a rater.
        refined: (l,) bool, True where asynchronous flow matching generated the action again.
        n_frozen: Leading actions kept from the previous chunk.
        instruction: The task the chunk follows; of an end, the one that is over.
        unknown_words: Those of the instruction that the policy never saw.
        offset_ns: Time from the stamp to the first action [ns]; at most half a control step before or after
            it, in a chunk that has the control steps of the plan that it continues.
    """

    session_id: int
    chunk_id: int
    stamp_ns: int
    action_period_ns: int
    action_space: str
    dof_names: tuple[str, ...]
    actions: np.ndarray
    confidence: np.ndarray | None = None
    refined: np.ndarray | None = None
    n_frozen: int = 0
    instruction: str = ""
    unknown_words: tuple[str, ...] = ()
    offset_ns: int = 0

    @property
    def begin_ns(self) -> int:
        """When the first action is due [ns, node clock]."""
        return self.stamp_ns + self.offset_ns

    @property
    def is_end(self) -> bool:
        """Whether this chunk ends the task, so that the controller stops now."""
        return len(self.actions) == 0

    def index_at(self, now_ns: int) -> int:
        """Return the index of the action due at ``now_ns``: negative before the chunk, ``>= l`` after it."""
        return (now_ns - self.begin_ns) // self.action_period_ns

    def executed_at(self, now_ns: int) -> int:
        """Return how many leading actions have ended their control steps at ``now_ns``."""
        return min(max(self.index_at(now_ns), 0), len(self.actions))

    def due_ns(self, index: int) -> int:
        """Return when action ``index`` is due [ns, node clock]."""
        return self.begin_ns + index * self.action_period_ns
