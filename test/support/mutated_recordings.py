"""Recordings that are damaged on purpose, each in a way that its seed says.

``python -m support.mutated_recordings BAG OUT COUNT`` writes so many, to look at.
"""

from __future__ import annotations

import random
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from rosbags.interfaces import ConnectionExtRosbag2
from rosbags.rosbag2 import Reader, StoragePlugin, Writer

Damage = Callable[[Path, random.Random], str]


def mutate(bag: Path, out: Path, seed: int) -> str:
    """Copy a recording, damage the copy, and return how."""
    rng = random.Random(seed)
    damage = DAMAGES[seed % len(DAMAGES)]
    if damage in (_swap_topics, _rename_topic, _change_type, _shuffle_times):
        return damage(_rewrite(bag, out, rng, damage), rng)
    shutil.copytree(bag, out)
    return damage(out, rng)


def _recorded(folder: Path) -> Path:
    return next(file for file in sorted(folder.iterdir()) if file.suffix in (".mcap", ".db3"))


def _flip_bits(folder: Path, rng: random.Random) -> str:
    file = _recorded(folder)
    content = bytearray(file.read_bytes())
    places = [rng.randrange(len(content)) for _ in range(rng.choice([1, 4, 40]))]
    for place in places:
        content[place] ^= 1 << rng.randrange(8)
    file.write_bytes(content)
    return f"{len(places)} bits flipped"


def _cut(folder: Path, rng: random.Random) -> str:
    file = _recorded(folder)
    content = file.read_bytes()
    kept = rng.randrange(len(content))
    file.write_bytes(content[:kept])
    return f"cut after {kept} bytes"


def _overwrite(folder: Path, rng: random.Random) -> str:
    file = _recorded(folder)
    content = bytearray(file.read_bytes())
    begin = rng.randrange(len(content))
    length = min(rng.randrange(1, 5000), len(content) - begin)
    content[begin : begin + length] = rng.randbytes(length)
    file.write_bytes(content)
    return f"{length} bytes at {begin} overwritten"


def _spoil_metadata(folder: Path, rng: random.Random) -> str:
    file = folder / "metadata.yaml"
    text = file.read_text()
    choice = rng.choice(["gone", "cut", "nonsense"])
    if choice == "gone":
        file.unlink()
    else:
        file.write_text(text[: rng.randrange(len(text))] if choice == "cut" else "{]")
    return f"metadata.yaml: {choice}"


def _swap_topics(folder: Path, rng: random.Random) -> str:
    return "two topics swapped"


def _rename_topic(folder: Path, rng: random.Random) -> str:
    return "a topic renamed"


def _change_type(folder: Path, rng: random.Random) -> str:
    return "a topic of another type"


def _shuffle_times(folder: Path, rng: random.Random) -> str:
    return "times of recording shuffled"


def _reorder_files(folder: Path, rng: random.Random) -> str:
    file = _recorded(folder)
    other = file.with_name(f"another_{rng.randrange(3)}{file.suffix}")
    shutil.copy(file, other)
    if rng.random() < 0.5:
        file.rename(file.with_name(f"z{file.name}"))
    return f"{other.name} beside it, the same once more"


def _rewrite(bag: Path, out: Path, rng: random.Random, damage: Damage) -> Path:
    """Write the same messages under other topics, types or times."""
    with Reader(bag) as reader:
        topics = sorted({one.topic for one in reader.connections})
        first, second = rng.sample(topics, 2)
        names = {topic: topic for topic in topics}
        if damage is _swap_topics:
            names |= {first: second, second: first}
        elif damage is _rename_topic:
            names[first] = f"{first}_2"
        writer = Writer(out, version=9, storage_plugin=rng.choice(list(StoragePlugin)))
        with writer:
            known = {}
            types = {one.topic: one for one in reader.connections}
            for one in reader.connections:
                kind = types[second] if damage is _change_type and one.topic == first else one
                assert isinstance(one.ext, ConnectionExtRosbag2)
                known[one.id] = writer.add_connection(
                    names[one.topic], kind.msgtype, msgdef=kind.msgdef.data, rihs01="RIHS01_" + 64 * "0"
                )
            for connection, log_ns, raw in reader.messages():
                shift = rng.randrange(-(10**10), 10**10) if damage is _shuffle_times else 0
                writer.write(known[connection.id], max(0, log_ns + shift), raw)
    return out


DAMAGES: tuple[Damage, ...] = (
    _flip_bits,
    _cut,
    _overwrite,
    _swap_topics,
    _rename_topic,
    _flip_bits,
    _spoil_metadata,
    _change_type,
    _reorder_files,
    _shuffle_times,
)


if __name__ == "__main__":
    source, target, count = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    for number in range(count):
        print(number, mutate(source, target / f"{number:04d}", number))
