"""Recordings that can be read whatever ends the program that writes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from rosbags.interfaces import Connection, Qos
from rosbags.rosbag2 import StoragePlugin, Writer

from asyncvla_ros.bags.messages import Messages
from asyncvla_ros.types import AsyncVLAError, RunError

# Of rosbag2's metadata.yaml; read by Jazzy and newer, and by Humble but for the quality of service.
VERSION: Literal[9] = 9


class BagWriter:
    """A rosbag2 recording as mcap; use as a context manager.

    Args:
        folder: Is made; must not exist.
        note: Text by name, kept in the metadata when the recording is complete.

    Attributes:
        messages: Makes what is written.
        counts: Messages written, by topic.

    Raises:
        AsyncVLAError: the folder exists.
        RunError: it cannot be written; what was written before can be read.
    """

    def __init__(self, folder: Path, note: Mapping[str, str] | None = None):
        if folder.exists():
            raise AsyncVLAError(f"{folder} exists already, expected a path for a new recording")
        self.folder = folder
        self.messages = Messages()
        self.counts: Counter[str] = Counter()
        self._writer = Writer(folder, version=VERSION, storage_plugin=StoragePlugin.MCAP)
        for name, text in (note or {}).items():
            self.note(name, text)
        self._connections: dict[tuple[str, str], Connection] = {}

    def __enter__(self) -> BagWriter:
        with _saying(self.folder, "be written"):
            self._writer.open()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and issubclass(kind, OSError | RunError):
            self.abort()
        else:
            self.close()

    def close(self) -> None:
        """Complete the recording."""
        with _saying(self.folder, "be completed"):
            self._writer.close()

    def abort(self) -> None:
        """Leave the recording as it is: without its end."""
        with suppress(OSError):
            self._writer.abort()

    def note(self, name: str, text: str) -> None:
        """Keep a text in the metadata."""
        self._writer.set_custom_data(name, text)

    def add(self, topic: str, kind: str, definition: Any = None, qos: tuple[Qos, ...] = ()) -> None:
        """Announce a topic; a message announces its own, if nobody else did.

        Args:
            topic: Its name.
            kind: Type of its messages.
            definition: A rosbags typestore that knows the type; None: the usual one.
            qos: With which they were published.

        Raises:
            AsyncVLAError: the type is not known.
        """
        if (topic, kind) in self._connections:
            return
        store = definition or self.messages.store
        if kind not in store.fielddefs:
            raise AsyncVLAError(f"{topic}: the definition of {kind} is not known")
        self._connections[topic, kind] = self._writer.add_connection(
            topic, kind, typestore=store, offered_qos_profiles=qos
        )

    def write(self, topic: str, log_ns: int, message: Any) -> None:
        """Write a message of ``Messages`` at ``log_ns`` [ns]."""
        self.write_raw(topic, message.__msgtype__, log_ns, self.messages.serialize(message))

    def write_raw(self, topic: str, kind: str, log_ns: int, content: bytes) -> None:
        """Write a serialized message of a type at ``log_ns`` [ns]."""
        self.add(topic, kind)
        with _saying(self.folder, "be written"):
            self._writer.write(self._connections[topic, kind], log_ns, content)
        self.counts[topic] += 1

    def flush(self) -> None:
        """Hand all messages to the system: a program that is killed now loses none of them."""
        storage: Any = self._writer.storage
        with _saying(self.folder, "be written"):
            if storage.chunk.bio.tell():
                storage.close_chunk()
            storage.bio.flush()


@contextmanager
def _saying(folder: Path, what: str) -> Iterator[None]:
    """Turn an error of the system into one line."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise RunError(f"{folder} cannot {what}: {reason}; what was written before can be read") from error
