"""An mcap file without its end, or with damage in it: read from its begin, as far as that goes."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator
from pathlib import Path

from mcap.records import Channel, Chunk, McapRecord, Message, Schema
from mcap.stream_reader import StreamReader, breakup_chunk
from rosbags.interfaces import Connection, ConnectionExtRosbag2, MessageDefinition, MessageDefinitionFormat

_FORMATS = {
    "ros2msg": MessageDefinitionFormat.MSG,
    "ros2idl": MessageDefinitionFormat.IDL,
    "omgidl": MessageDefinitionFormat.IDL,
}


class DamagedMcap:
    """What rosbags reads of a whole file, from one that it refuses; read once in advance.

    Args:
        path: The file.

    Attributes:
        connections: Topics of which messages were found, and how many.
        start_time: When the first message was recorded [ns].
        end_time: After the last one was [ns].
        damage: Where it ends, and what cannot be read before that.

    Raises:
        ValueError: nothing can be read of it.
    """

    def __init__(self, path: Path):
        self._path = path
        self.connections: list[Connection] = []
        self.damage = ""
        counts: dict[int, int] = {}
        first_ns, last_ns = 2**63, 0
        for channel, message in self._found():
            counts[channel] = counts.get(channel, 0) + 1
            first_ns, last_ns = min(first_ns, message.log_time), max(last_ns, message.log_time)
        if not counts:
            raise ValueError(self.damage or "no messages in it")
        self.connections = [one._replace(msgcount=counts.get(one.id, 0)) for one in self.connections]
        self.start_time, self.end_time = first_ns, last_ns + 1

    def messages(self, connections: Collection[Connection]) -> Generator[tuple[Connection, int, bytes]]:
        """Yield the messages of ``connections`` in the order in which they stand in the file."""
        chosen = {one.id: one for one in connections}
        for channel, message in self._found():
            if channel in chosen:
                yield chosen[channel], message.log_time, message.data

    def _found(self) -> Iterator[tuple[int, Message]]:
        schemas: dict[int, Schema] = {}
        channels: dict[int, Channel] = {}
        for record in self._records():
            if isinstance(record, Schema):
                schemas[record.id] = record
            elif isinstance(record, Channel) and record.id not in channels:
                channels[record.id] = record
                if record.id not in {one.id for one in self.connections}:
                    self.connections.append(self._connection(record, schemas.get(record.schema_id)))
            elif isinstance(record, Message) and record.channel_id in channels:
                yield record.channel_id, record

    def _records(self) -> Iterator[McapRecord]:
        """Yield all records that can be read; a chunk that cannot is left out."""
        lost, size = 0, self._path.stat().st_size
        self.damage = ""
        with self._path.open("rb") as file:
            records = StreamReader(file, emit_chunks=True, record_size_limit=size).records
            while True:
                at = file.tell()
                try:
                    record = next(records)
                except StopIteration:
                    break
                except Exception as error:
                    # Whatever the reader makes of damaged bytes; what follows cannot be found any more.
                    self.damage = f"ends after {at} of {size} bytes ({type(error).__name__})"
                    break
                if not isinstance(record, Chunk):
                    yield record
                    continue
                try:
                    yield from breakup_chunk(record, validate_crc=True)
                except Exception:
                    lost += 1
        if lost:
            self.damage = "; ".join(filter(None, [f"{lost} of its chunks cannot be read", self.damage]))

    def _connection(self, channel: Channel, schema: Schema | None) -> Connection:
        encoding = "" if schema is None else schema.encoding
        text = "" if schema is None else schema.data.decode("utf-8", "replace")
        return Connection(
            id=channel.id,
            topic=channel.topic,
            msgtype="" if schema is None else schema.name,
            msgdef=MessageDefinition(_FORMATS.get(encoding, MessageDefinitionFormat.NONE), text),
            digest="",
            msgcount=0,
            ext=ConnectionExtRosbag2(channel.message_encoding, []),
            owner=self,
        )
