"""Writes one episode in a thread of its own, so that no callback waits for the disk."""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rosbags.interfaces import Qos

from asyncvla_ros.bags.episode import ROBOT_FILE, EpisodeNote
from asyncvla_ros.bags.types import typestore_with
from asyncvla_ros.bags.writer import BagWriter
from asyncvla_ros.types import AsyncVLAError

# Period of flushing to the operating system [s]: a killed process loses no more than this.
FLUSH_S = 0.25
# Largest memory of messages that wait for a slow disk [bytes].
WAITING_BYTES = 512 * 2**20


@dataclass(frozen=True)
class Channel:
    """A topic that is written.

    Attributes:
        topic: Its full name.
        kind: Type of its messages.
        qos: Quality of service for the replay; empty: not known.
        has_header: Whether its messages begin with a ``std_msgs/Header``.
    """

    topic: str
    kind: str
    qos: tuple[Qos, ...] = ()
    has_header: bool = False


class EpisodeWriter:
    """Writes one episode to the disk, in a thread of its own.

    Threads: one that calls, and one that writes.

    Args:
        folder: Folder to make; it must not exist.
        channels: Topics that may have messages.
        note: Written beside the messages at once.
        contract: Text of the robot's contract, written beside them, too.

    Attributes:
        note: The note as it is now.
        problem: Why nothing is written any more; empty: nothing is wrong.

    Raises:
        AsyncVLAError: the folder exists, or a message type is not known.
        RunError: the folder cannot be written.
    """

    def __init__(self, folder: Path, channels: Sequence[Channel], note: EpisodeNote, contract: str):
        #: Used by the calling thread alone.
        self.folder, self.note = folder, note
        self._received: Counter[str] = Counter()
        #: Set by either thread; the first problem stays.
        self.problem = ""
        self._queue: queue.SimpleQueue[tuple[Channel, int, bytes] | None] = queue.SimpleQueue()
        #: Guards what both threads count: lost messages and waiting bytes.
        self._lock = threading.Lock()
        self._lost: Counter[str] = Counter()
        self._waiting = 0
        store = typestore_with({channel.kind for channel in channels})
        #: Belongs to the writing thread until that has ended; the caller reads its counts.
        self._writer = BagWriter(folder)
        self._writer.__enter__()
        for channel in channels:
            self._writer.add(channel.topic, channel.kind, store, channel.qos)
        note.write(folder)
        (folder / ROBOT_FILE).write_text(contract, encoding="utf-8")
        self._thread = threading.Thread(target=self._run, name="episode", daemon=True)
        self._thread.start()

    def put(self, channel: Channel, log_ns: int, content: bytes) -> None:
        """Queue a serialized message, received at ``log_ns`` [ns]; count it as lost if memory is full."""
        self._received[channel.topic] += 1
        with self._lock:
            is_full = self._waiting + len(content) > WAITING_BYTES
            if is_full:
                self._lost[channel.topic] += 1
            else:
                self._waiting += len(content)
        if not is_full:
            self._queue.put((channel, log_ns, content))

    def note_lost(self, topic: str, count: int) -> None:
        """Count messages of a topic that did not arrive."""
        with self._lock:
            self._lost[topic] += count

    def describe(self, **changes: object) -> None:
        """Change fields of the note, and write it."""
        self.note = replace(self.note, **changes)  # type: ignore[arg-type]
        if not self.problem:
            self._write_note()

    def close(self, outcome: str) -> EpisodeNote:
        """Write what is queued, end the episode, and return its note."""
        self._queue.put(None)
        self._thread.join()
        self.note = replace(self.note, outcome=outcome, messages=self.counts(), problem=self.problem)
        try:
            if self.problem:
                self._writer.abort()
            else:
                self._writer.note("asyncvla_outcome", outcome)
                self._writer.note("asyncvla_instruction", self.note.instruction)
                self._writer.close()
        except AsyncVLAError as error:
            self._fail(error)
        self._write_note()
        return self.note

    def counts(self) -> dict[str, dict[str, int]]:
        """Return for each topic how many messages were received, written and lost."""
        with self._lock:
            lost = self._lost.copy()
        return {
            topic: {
                "received": self._received[topic],
                "written": self._writer.counts[topic],
                "lost": lost[topic],
            }
            for topic in sorted({*self._received, *lost})
        }

    def _run(self) -> None:
        is_over = False
        while not is_over:
            try:
                is_over = self._write_some()
                if not self.problem:
                    self._writer.flush()
            except AsyncVLAError as error:
                self._fail(error)

    def _write_some(self) -> bool:
        """Write messages until the next flush is due; return True at the end of the queue."""
        until = time.monotonic() + FLUSH_S
        while (left := until - time.monotonic()) > 0:
            try:
                entry = self._queue.get(timeout=left)
            except queue.Empty:
                return False
            if entry is None:
                return True
            channel, log_ns, content = entry
            is_lost = bool(self.problem)
            with self._lock:
                self._waiting -= len(content)
                self._lost[channel.topic] += is_lost
            if not is_lost:
                self._writer.write_raw(channel.topic, channel.kind, log_ns, content)
        return False

    def _fail(self, error: AsyncVLAError) -> None:
        self.problem = self.problem or str(error)

    def _write_note(self) -> None:
        try:
            self.note.write(self.folder)
        except OSError as error:
            self.problem = self.problem or f"{self.folder}: {error.strerror}"
