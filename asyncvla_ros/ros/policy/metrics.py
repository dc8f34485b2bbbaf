"""Counts and measurements of policy_node, and the diagnostics made of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus

from asyncvla_ros.common.statistics import Percentiles, Rates
from asyncvla_ros.observe.stream_sync import StreamSync
from asyncvla_ros.ros.diagnostics import Report
from asyncvla_ros.strategy import Strategy
from asyncvla_ros.types import ActionChunk


def mean_confidence(chunk: ActionChunk) -> float:
    """Return the mean confidence over the actions, in (0, 1); NaN without a rater."""
    return float("nan") if chunk.confidence is None else float(np.mean(chunk.confidence))


class PolicyMetrics:
    """Counts and measurements since the node was started, without the warm-up.

    Threads: the inference thread notes; the executor's thread reports and clears ``error``. They share single
    values, each exchanged as a whole; the rates belong to the executor's thread.
    """

    def __init__(self) -> None:
        self._latency_ms = Percentiles()
        self._rates = Rates()
        self._chunks = 0
        self._failures = 0
        self._dropped = 0
        self._last_dropped = ""
        self._refined = float("nan")
        self._confidence = float("nan")
        self._held = 0
        self._surprise = float("nan")
        self.error = ""

    def note_chunk(self, chunk: ActionChunk, latency_s: float) -> None:
        """Count a chunk that was published ``latency_s`` [s] after its inference began."""
        self._chunks += 1
        self._latency_ms.add(1e3 * latency_s)
        self._refined = float(np.mean(chunk.refined))
        self._confidence = mean_confidence(chunk)
        self._note_answer(chunk)

    def note_held(self, chunk: ActionChunk) -> None:
        """Count a chunk that was not published because the episode is doubtful."""
        self._held += 1
        self._note_answer(chunk)

    def _note_answer(self, chunk: ActionChunk) -> None:
        self._surprise = float("nan") if chunk.surprise is None else chunk.surprise
        self.error = ""

    def note_failure(self, text: str) -> None:
        """Count an observation whose inference failed, with the error's text."""
        self._failures += 1
        self.error = text

    def note_dropped(self, reason: str) -> None:
        """Count a chunk that was not published because its task had ended, and why."""
        self._dropped += 1
        self._last_dropped = reason

    def report(
        self,
        sync: StreamSync[Any],
        problems: Sequence[str],
        now_ns: int,
        instruction: str,
        strategy: Strategy,
        *,
        is_active: bool,
        doubt: str = "",
    ) -> Report:
        """Report the state of a node that is at least configured.

        Args:
            sync: Streams, with their counts and ages.
            problems: Why there is no observation.
            now_ns: Time of the report [ns, node clock].
            instruction: The instruction that is followed.
            strategy: How chunks are sampled; complete.
            is_active: Whether the node is active.
            doubt: Why what is followed is doubtful; empty if it is not.
        """
        counts, ages = sync.counts, sync.ages_s(now_ns)
        received = {stream: count.received for stream, count in counts.items()}
        rates = self._rates.update(time.perf_counter(), {**received, "chunks": self._chunks})
        values: dict[str, object] = {
            "instruction": instruction,
            "mode": strategy.mode,
            "handover": strategy.handover,
            "chunks": self._chunks,
            "chunks [Hz]": rates["chunks"],
            "failures": self._failures,
            "dropped": self._dropped,
            "last dropped": self._last_dropped,
            "mean confidence": self._confidence,
            "refined share": self._refined,
            "surprise": self._surprise,
            "held": self._held,
        }
        values |= {f"inference {name} [ms]": value for name, value in self._latency_ms.summary().items()}
        for stream, count in counts.items():
            values |= {f"{stream} [Hz]": rates[stream], f"{stream} age [s]": ages[stream]}
            values |= {f"{stream} superseded": count.superseded, f"{stream} out of order": count.out_of_order}
            values |= {f"{stream} unusable": count.unusable}
        if not is_active:
            return Report(DiagnosticStatus.OK, "inactive", values)
        if self.error:
            return Report(DiagnosticStatus.ERROR, self.error, values)
        if problems:
            return Report(DiagnosticStatus.WARN, "no usable observation: " + "; ".join(problems), values)
        if doubt:
            return Report(DiagnosticStatus.WARN, doubt, values)
        return Report(DiagnosticStatus.OK, "working" if instruction else "no instruction", values)
