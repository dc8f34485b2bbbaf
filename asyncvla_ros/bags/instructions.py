"""What was to be done while a recording was made, and which observations were decided on."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Any

from asyncvla_ros.bags.done import CHUNK
from asyncvla_ros.bags.episode import read_note
from asyncvla_ros.bags.reader import BagReader
from asyncvla_ros.data.message_content import to_ns
from asyncvla_ros.types import AsyncVLAError

STATUS = "asyncvla_msgs/msg/EpisodeStatus"
# Of EpisodeStatus.
RUNNING, SOLVED = 1, 2


@dataclass
class _Episode:
    """An episode of a simulator [ns]; while it runs its end is that of the newest news."""

    number: int
    begin_ns: int
    end_ns: int
    is_solved: bool = False


class Instructions:
    """The instruction at each time; reads chunks and the status of episodes in advance.

    Args:
        bag: The recording.
        chunk_topic: Of its chunks.
        given: Counts instead of what is recorded; None: it is recorded.

    Attributes:
        decided: Stamps of the observations [ns] of which the recording has chunks.

    Raises:
        AsyncVLAError: neither is an instruction recorded, nor one given.
    """

    def __init__(self, bag: BagReader, chunk_topic: str, given: str | None):
        self.decided: set[int] = set()
        self._since: list[int] = []
        self._texts: list[str] = []
        self._episodes: list[_Episode] = []
        kinds = {
            topic: kind for topic, names in bag.topics.items() for kind in (CHUNK, STATUS) if kind in names
        }
        topics = {topic for topic, kind in kinds.items() if kind == STATUS or topic == chunk_topic}
        for one in bag.messages(topics) if topics else ():
            stamp_ns = to_ns(one.message.header.stamp)
            if one.kind == CHUNK and len(one.message.actions):
                self.decided.add(stamp_ns)
            if one.kind == STATUS:
                self._note_episode(one.message, stamp_ns)
            if given is None and one.message.instruction.strip():
                self._note(stamp_ns, one.message.instruction)
        note = read_note(bag.path)
        if given is not None:
            self._note(0, given)
        elif not self._texts and note is not None and note.instruction.strip():
            self._note(0, note.instruction)
        if not self._texts:
            raise AsyncVLAError(
                f"{bag.path} does not say what was to be done (no instruction in an ActionChunk, an "
                "EpisodeStatus or a recorder's note); give it with --instruction"
            )

    def _note(self, stamp_ns: int, text: str) -> None:
        if not self._texts or self._texts[-1] != text:
            self._since.append(max([stamp_ns, *self._since[-1:]]))
            self._texts.append(text)

    def _note_episode(self, status: Any, stamp_ns: int) -> None:
        newest = self._episodes[-1] if self._episodes else None
        if newest is not None and newest.number == status.episode_id:
            newest.end_ns = max(newest.end_ns, stamp_ns)
            newest.is_solved |= status.state == SOLVED
        elif status.state == RUNNING:
            self._episodes.append(_Episode(status.episode_id, stamp_ns, stamp_ns))

    def reason(self, stamp_ns: int, *, failures: bool) -> str:
        """Explain why a policy must not learn from ``stamp_ns`` [ns]; empty if it may.

        Args:
            stamp_ns: [ns].
            failures: Whether it may learn from episodes that the simulator calls failed.
        """
        if not self._episodes:
            return ""
        at = bisect_right([episode.begin_ns for episode in self._episodes], stamp_ns) - 1
        if at < 0 or stamp_ns > self._episodes[at].end_ns:
            return "between two episodes"
        return "" if failures or self._episodes[at].is_solved else "its episode was not solved"

    def at(self, stamp_ns: int) -> str:
        """Return the instruction at ``stamp_ns`` [ns]."""
        return self._texts[max(0, bisect_right(self._since, stamp_ns) - 1)]

    @property
    def texts(self) -> list[str]:
        """All instructions, each once."""
        return list(dict.fromkeys(self._texts))
