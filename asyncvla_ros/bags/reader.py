"""The one way into recordings of rosbag2: sqlite3 or mcap, compressed, split, complete or not."""

from __future__ import annotations

import heapq
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from rosbags.interfaces import Connection, ConnectionExtRosbag2, QosDurability
from rosbags.rosbag2 import Reader

from asyncvla_ros.bags.damaged_mcap import DamagedMcap
from asyncvla_ros.bags.types import typestore
from asyncvla_ros.data.message_content import to_ns
from asyncvla_ros.types import AsyncVLAError

Part = Reader | DamagedMcap

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SUFFIXES, COMPRESSED = (".mcap", ".db3"), ".zstd"


@dataclass(frozen=True)
class Recorded:
    """One message of a recording.

    Attributes:
        topic: Where it was published.
        kind: Its type, such as ``sensor_msgs/msg/Image``.
        log_ns: When it was recorded [ns].
        message: Its fields, by their names in ROS.
    """

    topic: str
    kind: str
    log_ns: int
    message: Any

    @property
    def stamp_ns(self) -> int:
        """Of its header, else when it was recorded [ns]."""
        header = getattr(self.message, "header", None)
        return (0 if header is None else to_ns(header.stamp)) or self.log_ns


class BagReader:
    """A recording; use as a context manager.

    What can be read is read: a file that is cut or damaged, and a message that does not decode, is named in
    ``problems``, and the others are used.

    Args:
        path: The folder that rosbag2 wrote, with its metadata.yaml or without, or a single file of it.

    Attributes:
        topics: Types of each topic, as they are recorded.
        counts: Messages of each topic, as the recording says; of a cut file it may say less than it has.
        undecoded: Messages of each topic that were met and could not be decoded.
        problems: What cannot be read, and why; complete after the last message.

    Raises:
        AsyncVLAError: there is no recording, or nothing of it can be read.
    """

    def __init__(self, path: Path):
        self.path = path.expanduser()
        self.topics: dict[str, set[str]] = {}
        self.counts: Counter[str] = Counter()
        self.undecoded: Counter[str] = Counter()
        self.problems: list[str] = []
        self._stack = ExitStack()
        self._parts: list[tuple[Path, Part]] = []

    def __enter__(self) -> BagReader:
        with ExitStack() as stack:
            self._open(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        self._parts = []

    def _open(self, stack: ExitStack) -> None:
        self._parts = list(self._opened(stack))
        if not self._parts:
            raise AsyncVLAError("; ".join([f"{self.path} is no recording that can be read", *self.problems]))
        connections = [connection for _, part in self._parts for connection in part.connections]
        for connection in connections:
            self.topics.setdefault(connection.topic, set()).add(connection.msgtype)
            self.counts[connection.topic] += connection.msgcount
        self._store = typestore(connections)

    def _opened(self, stack: ExitStack) -> Iterator[tuple[Path, Part]]:
        """Open each file alone: of a folder, rosbags drops topics whose metadata differ from the file's."""
        if not self.path.exists():
            raise AsyncVLAError(f"{self.path}: no such recording")
        folder = self.path if self.path.is_dir() else self.path.parent
        self._is_compressed = _compression(folder) == "message"
        files = _files(self.path) if self.path.is_dir() else [self.path]
        if not files:
            expected = ", ".join(f"*{suffix}[{COMPRESSED}]" for suffix in SUFFIXES)
            self._note(f"no file of a recording in it, expected {expected}")
        for file in files:
            part = self._part(stack, file)
            if part is not None:
                yield file, part

    def _part(self, stack: ExitStack, path: Path) -> Part | None:
        try:
            file = _decompressed(stack, path) if path.suffix == COMPRESSED else path
            return stack.enter_context(Reader(file))
        except Exception as error:
            # rosbags raises whatever its parsers, its databases and the system do.
            return self._damaged(path, error)

    def _damaged(self, path: Path, error: Exception) -> DamagedMcap | None:
        """Open what is left of a damaged file; None if nothing is."""
        try:
            if path.suffix != ".mcap":
                raise error
            part = DamagedMcap(path)
        except Exception as reason:
            self._note(f"{path.name}: {_said(reason)}")
            return None
        self._note(f"{path.name}: {part.damage or _said(error)}")
        return part

    @property
    def start_ns(self) -> int:
        """When the first message was recorded [ns]."""
        return min(part.start_time for _, part in self._parts)

    @property
    def end_ns(self) -> int:
        """When the last message was recorded [ns]."""
        return max(part.end_time for _, part in self._parts)

    @property
    def topics_with_messages(self) -> dict[str, set[str]]:
        """Types of each topic on which something came: a recorder also lists topics that stayed silent."""
        return {topic: kinds for topic, kinds in self.topics.items() if self.counts[topic]}

    def durability(self, topic: str) -> QosDurability | None:
        """Return the durability with which a topic was published; None: the recording does not say."""
        for _, part in self._parts:
            for one in part.connections:
                if one.topic == topic and isinstance(one.ext, ConnectionExtRosbag2):
                    for offered in one.ext.offered_qos_profiles:
                        return offered.durability
        return None

    def messages(self, topics: Collection[str] = ()) -> Iterator[Recorded]:
        """Yield messages in the order in which they were recorded; memory does not grow with their number.

        Args:
            topics: Of these; empty: of all.
        """
        undecoded: Counter[str] = Counter()
        for one in self.serialized(topics):
            try:
                message = self._store.deserialize_cdr(one.message, one.kind)
            except Exception as error:
                if one.topic not in undecoded:
                    self._note(f"{one.topic}: messages of {one.kind} do not decode: {_said(error)}")
                undecoded[one.topic] += 1
                # Of the longest pass: they may be read more than once.
                self.undecoded |= undecoded
                continue
            yield Recorded(one.topic, one.kind, one.log_ns, message)

    def serialized(self, topics: Collection[str] = ()) -> Iterator[Recorded]:
        """Yield what ``messages`` yields, each as it was recorded: ``message`` is CDR.

        Args:
            topics: Of these; empty: of all.
        """
        parts = [self._raw(path, part, topics) for path, part in self._parts]
        met: Counter[str] = Counter()
        for log_ns, _, connection, raw in heapq.merge(*parts, key=lambda entry: entry[:2]):
            topic = connection.topic
            met[topic] += 1
            try:
                content = zstd.decompress(raw) if self._is_compressed else raw
            except Exception as error:
                self._note(f"{topic}: message {met[topic]} cannot be decompressed: {_said(error)}")
                content = b""
            yield Recorded(topic, connection.msgtype, log_ns, content)
        for topic, count in self.counts.items():
            if met[topic] < count and (not topics or topic in topics):
                self._note(f"{topic}: {met[topic]} messages found, {count} were recorded")

    def _raw(
        self, path: Path, part: Part, topics: Collection[str]
    ) -> Iterator[tuple[int, int, Connection, bytes]]:
        chosen = [one for one in part.connections if not topics or one.topic in topics]
        if not chosen:
            return
        number, newest_ns = 0, -1
        try:
            for number, (connection, log_ns, raw) in enumerate(part.messages(chosen), start=1):
                newest_ns = log_ns
                yield log_ns, number, connection, raw
            return
        except Exception as error:
            rest = self._damaged(path, error)
        if isinstance(rest, DamagedMcap):
            by_topic = {(one.topic, one.msgtype): one for one in chosen}
            for connection, log_ns, raw in rest.messages(rest.connections):
                known = by_topic.get((connection.topic, connection.msgtype))
                if known is not None and log_ns > newest_ns:
                    number += 1
                    yield log_ns, number, known, raw

    def _note(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems.append(problem)


def recordings(path: Path) -> list[Path]:
    """List a recording, or those in a folder of them, by name.

    Raises:
        AsyncVLAError: there is none.
    """
    if path.is_file() or (path.is_dir() and _files(path)):
        return [path]
    found = sorted(one for one in path.glob("*/") if _files(one))
    if not found:
        raise AsyncVLAError(f"no recording at {path}, nor in its sub-folders")
    return found


def _files(folder: Path) -> list[Path]:
    """Return the files of a recording, the first one first."""
    names = [file for file in folder.iterdir() if file.name.removesuffix(COMPRESSED).endswith(SUFFIXES)]
    return sorted(names, key=lambda file: (len(file.name), file.name))


def _compression(folder: Path) -> str:
    """Read the mode that metadata.yaml names, such as ``message``; empty without one."""
    try:
        metadata = yaml.safe_load((folder / "metadata.yaml").read_text(encoding="utf-8"))
        return str(metadata["rosbag2_bagfile_information"].get("compression_mode", "")).lower()
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError, AttributeError):
        return ""


def _decompressed(stack: ExitStack, file: Path) -> Path:
    """Decompress a file into a copy that lasts until the stack is closed."""
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="asyncvla-bag-"))
    copy = Path(folder) / file.name.removesuffix(COMPRESSED)
    with zstd.open(file, "rb") as packed, copy.open("wb") as unpacked:
        shutil.copyfileobj(packed, unpacked)
    return copy


def _said(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
