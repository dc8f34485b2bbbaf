"""``asyncvla replay``: a policy decides again on what was recorded, and is compared with what was done.

messages ──> slots of a live node ──> inference ──> waits until it is known what was done ──> metrics, report
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from asyncvla_ros.bags.comparison import ReplayComparison
from asyncvla_ros.bags.done import CHUNK, find_done
from asyncvla_ros.bags.inference import InferencePool
from asyncvla_ros.bags.instructions import Instructions
from asyncvla_ros.bags.observations import Observations, RecordedClock
from asyncvla_ros.bags.predictions import Predictions
from asyncvla_ros.bags.reader import BagReader
from asyncvla_ros.bags.replay_settings import ReplaySettings
from asyncvla_ros.bags.robot_topics import find_robot, resolve
from asyncvla_ros.common.provenance import provenance
from asyncvla_ros.control.chunk import StampedChunk
from asyncvla_ros.control.chunk_session import ChunkSession
from asyncvla_ros.data.camera_message import decode_image
from asyncvla_ros.data.encoded_image import to_jpeg
from asyncvla_ros.data.robot_policy import RobotPolicy, observed
from asyncvla_ros.observe.stream_sync import Snapshot
from asyncvla_ros.report.replay_record import Moment, ReplayRecord
from asyncvla_ros.robot.contract import RobotContract
from asyncvla_ros.types import ActionChunk, AsyncVLAError, ContractError, RunError
from asyncvla_ros.view.chunk_view import ratings

THUMBNAIL_WIDTH = 320
LATENCIES = 100_000


@dataclass(frozen=True)
class _Asked:
    """An inference that is being made."""

    answer: Future[ActionChunk]
    snapshot: Snapshot[Any]
    instruction: str
    now_ns: int
    log_ns: int
    decoding_s: float


@dataclass(frozen=True)
class _Decided:
    """An inference that waits until it is known what was done."""

    chunk: StampedChunk
    snapshot: Snapshot[Any]
    known_ns: int


class Replay:
    """One replay.

    Args:
        bag: The recording, open.
        inference: Decides.
        robot: Of the recording.
        settings: How.
        out: Receives the predictions; its files are written by the caller.

    Attributes:
        record: What the report shows.

    Raises:
        AsyncVLAError: topics or instruction are missing, or the robot does not fit the policy.
    """

    def __init__(
        self,
        bag: BagReader,
        inference: InferencePool,
        robot: RobotContract,
        settings: ReplaySettings,
        out: Path,
    ):
        self._bag, self._inference, self._robot, self._settings = bag, inference, robot, settings
        policy = inference.policy
        self._robot_policy = RobotPolicy(policy, robot, inference.name)
        policy.check(settings.deciding.strategy)
        self._reads_previous = policy.resolve(settings.deciding.strategy).reads_previous
        sources = observed(robot, self._robot_policy.cameras)
        self._topics = find_robot(bag.topics, sources, settings.namespace)
        namespace = self._topics.namespace
        self._target, self._done = find_done(settings.target, bag.topics_with_messages, robot, namespace)
        chunks = resolve("~/action_chunk", namespace, "policy")
        if settings.at == "chunks" and CHUNK not in bag.topics.get(chunks, set()):
            raise AsyncVLAError(f"--at chunks: no {CHUNK} is recorded on {chunks}")
        self._instructions = Instructions(bag, chunks, settings.instruction)
        self._clock = RecordedClock(bag, list(self._topics.streams))
        limits = round(1e9 * settings.max_age_s), round(1e9 * settings.max_skew_s)
        self._observations = Observations(sources, self._topics.streams, robot.base_frame, *limits)
        # An observation that comes now may be so old [ns].
        self._oldest_ns = limits[0] + limits[1]
        self._session = ChunkSession(robot)
        self._duration_ns = bag.end_ns - bag.start_ns
        self._comparison = ReplayComparison(robot, policy.chunk_size, self._duration_ns, policy.rater)
        self.record = ReplayRecord(1e-9 * self._duration_ns)
        self._predictions = Predictions(out / "predictions", robot, self._topics, settings.tip_link)
        self._asked: deque[_Asked] = deque()
        self._decided: deque[_Decided] = deque()
        self._failures: Counter[str] = Counter()
        self._latencies_ms: deque[float] = deque(maxlen=LATENCIES)
        self._inferences = self._actions = self._refined = 0
        self._begin_ns: int | None = None
        self._next_ns = 0

    def run(self, advance: Callable[[float], None]) -> dict[str, Any]:
        """Replay from begin to end.

        Args:
            advance: Told the share of the recording that is done.

        Returns:
            What metrics.json holds.

        Raises:
            AsyncVLAError: nothing of the recording could be decided on.
            RunError: predictions cannot be written.
        """
        begun = time.perf_counter()
        with self._predictions:
            for now_ns in self._steps():
                advance(min(1.0, (now_ns - self._bag.start_ns) / max(1, self._duration_ns)))
            self._finish_until(None)
        wall_s = time.perf_counter() - begun
        if not self._inferences:
            reasons = [*self._failures, *self._observations.problems(), *self._bag.problems]
            raise AsyncVLAError(f"{self._bag.path}: nothing to decide on: {'; '.join(reasons[:5])}")
        return self._metrics(wall_s)

    def _steps(self) -> Iterator[int]:
        """Replay message by message; yield the time of each in the recording [ns]."""
        topics = {*self._topics.streams, *self._done.topics, *self._clock.topics, *self._predictions.topics}
        for one in self._bag.messages(topics):
            has_header = hasattr(one.message, "header")
            if self._clock.advance(one, one.stamp_ns if has_header else None):
                self._set_back()
            now_ns = self._clock.now_ns
            if one.topic in self._done.topics:
                self._done.feed(one)
            self._predictions.feed(one)
            self._observations.feed(one, now_ns)
            self._finish_until(now_ns)
            snapshot = self._observations.take()
            if snapshot is not None:
                if self._begin_ns is None:
                    self._begin_ns = snapshot.stamp_ns
                if self._is_wanted(snapshot.stamp_ns):
                    self._decide(snapshot, now_ns, one.log_ns)
            yield one.log_ns

    def _is_wanted(self, stamp_ns: int) -> bool:
        """Return whether to decide on an observation of ``stamp_ns`` [ns]."""
        if self._settings.at == "chunks":
            return stamp_ns in self._instructions.decided
        if stamp_ns < self._next_ns:
            return False
        # On the grid of the first one, so that a late one does not delay the others.
        period_ns = round(1e9 * self._settings.every_s)
        is_late = stamp_ns - self._next_ns > period_ns
        self._next_ns = (stamp_ns if is_late else self._next_ns) + period_ns
        return True

    def _set_back(self) -> None:
        self._next_ns = 0
        self._finish_until(None)
        self._observations.reset()
        self._session.forget_times()
        self._done.forget(None)

    def _decide(self, snapshot: Snapshot[Any], now_ns: int, log_ns: int) -> None:
        instruction = self._instructions.at(snapshot.stamp_ns)
        begun = time.perf_counter()
        try:
            previous = self._session.previous(snapshot.stamp_ns)
            question = self._robot_policy.question(snapshot, instruction, previous, self._settings.deciding)
        except ContractError as error:
            self._failures[str(error)] += 1
            return
        decoding_s = time.perf_counter() - begun
        answer = self._inference.ask(question)
        self._asked.append(
            _Asked(answer, snapshot, instruction, now_ns, log_ns=log_ns, decoding_s=decoding_s)
        )
        # Those that are to come need what is under way.
        most = 0 if self._reads_previous else 2 * self._inference.workers - 1
        while len(self._asked) > most:
            self._note_answer(self._asked.popleft())

    def _note_answer(self, asked: _Asked) -> None:
        """Wait for an inference and note it."""
        try:
            answer = asked.answer.result()
        except (ContractError, RunError) as error:
            self._failures[str(error)] += 1
            return
        self._inferences += 1
        self._actions += len(answer.actions)
        self._refined += int(np.sum(answer.refined))
        latency_s = asked.decoding_s + 1e-3 * answer.times.total
        self._latencies_ms.append(1e3 * latency_s)
        chunk = replace(
            self._session.chunk(answer, asked.snapshot.stamp_ns, asked.now_ns, asked.instruction),
            unknown_words=self._robot_policy.policy.unknown_words(asked.instruction),
        )
        self._predictions.write(chunk, asked.snapshot, asked.log_ns, latency_s)
        known_ns = chunk.due_ns(len(chunk.actions)) + self._done.ahead_ns
        self._decided.append(_Decided(chunk, asked.snapshot, known_ns))

    def _finish_until(self, now_ns: int | None) -> None:
        """Compare the inferences whose outcome is known at ``now_ns`` [ns]; None compares all."""
        while self._asked and (now_ns is None or self._asked[0].answer.done()):
            self._note_answer(self._asked.popleft())
        while self._decided and (now_ns is None or self._decided[0].known_ns <= now_ns):
            self._compare(self._decided.popleft())
        if now_ns is not None:
            waiting = [one.chunk.stamp_ns for one in self._decided][:1]
            waiting += [one.snapshot.stamp_ns for one in self._asked][:1]
            self._done.forget(min([now_ns - self._oldest_ns, *waiting]))

    def _compare(self, inference: _Decided) -> None:
        chunk = inference.chunk
        done, stats = self._done.at(chunk), self._robot_policy.policy.action_stats
        scale = self._robot.scale
        difference = stats.normalize(chunk.actions / scale) - stats.normalize(done / scale)
        error = self._comparison.add(chunk, done, difference)
        assert self._begin_ns is not None
        confidence, refined = ratings(chunk)
        moment = Moment(
            time_s=1e-9 * (chunk.stamp_ns - self._begin_ns),
            predicted=chunk.actions,
            done=done,
            confidence=confidence,
            refined=refined,
            error=error,
            instruction=chunk.instruction,
        )
        block = self._comparison.block(chunk.stamp_ns)
        self.record.add(moment, block, lambda: self._images(inference.snapshot))

    def _images(self, snapshot: Snapshot[Any]) -> dict[str, bytes]:
        return {
            key: to_jpeg(decode_image(snapshot.values[key], key), THUMBNAIL_WIDTH)
            for key in self._robot_policy.cameras
        }

    def _metrics(self, wall_s: float) -> dict[str, Any]:
        p50, p95 = np.percentile(self._latencies_ms, (50, 95)).tolist()
        records = self._observations.records(self._bag.undecoded)
        settings = self._settings
        assert self._begin_ns is not None
        return {
            "bag": str(self._bag.path),
            "robot": self._robot.name,
            "target": self._target,
            "instructions": self._instructions.texts,
            "inferences": self._inferences,
            "failures": dict(self._failures),
            "compared_steps": self._comparison.compared,
            **self._comparison.metrics(seed=0),
            "refined_share": self._refined / self._actions,
            "inference_ms": {"p50": round(p50, 2), "p95": round(p95, 2)},
            "recorded_s": round(1e-9 * self._duration_ns, 3),
            "wall_s": round(wall_s, 3),
            "realtime_factor": round(1e-9 * self._duration_ns / wall_s, 3),
            "streams": {stream: record.to_dict() for stream, record in records.items()},
            "gaps": [
                {
                    "stream": gap.stream,
                    "begin_s": 1e-9 * (gap.begin_ns - self._begin_ns),
                    "seconds": 1e-9 * (gap.end_ns - gap.begin_ns),
                }
                for gap in self._observations.gaps
            ],
            "problems": list(
                filter(None, [self._clock.problem, *self._bag.problems, *self._predictions.problems])
            ),
            "peak_rss_mb": self._inference.peak_rss_mb(),
            "settings": asdict(settings),
            **provenance(),
        }
