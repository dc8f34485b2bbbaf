"""Definitions of messages: those that a recording holds, and the usual ones where it holds none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from rosbags.interfaces import Connection, MessageDefinitionFormat, Nodetype
from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore

from asyncvla_ros.paths import share_dir
from asyncvla_ros.types import AsyncVLAError

# What stands between the definitions of one type in IDL, and before each of them.
_SEPARATOR, _HEADER = "=" * 80 + "\n", "IDL: "


def typestore(connections: Iterable[Connection]) -> Any:
    """Return a typestore of every type of some connections that can be known.

    Args:
        connections: Of a recording; a definition that comes with one goes before the usual one.
    """
    store = get_typestore(Stores.EMPTY)
    known = dict(_usual())
    for connection in connections:
        known |= _definitions(connection)
    store.register(known)
    return store


def typestore_with(kinds: Iterable[str]) -> Any:
    """Return a typestore of the usual types and these, which are looked for among the installed packages.

    Raises:
        AsyncVLAError: one is nowhere.
    """
    known = dict(_usual())
    for kind in sorted(kinds):
        known |= _installed(kind, known)
    store = get_typestore(Stores.EMPTY)
    store.register(known)
    return store


def _installed(kind: str, known: Mapping[str, Any]) -> dict[str, Any]:
    """Read the definitions of an installed type and what it consists of, as far as they are not known."""
    if kind in known:
        return {}
    from ament_index_python.packages import get_package_share_directory

    package, _, name = kind.split("/")
    try:
        text = (Path(get_package_share_directory(package)) / "msg" / f"{name}.msg").read_text(
            encoding="utf-8"
        )
    except (LookupError, OSError) as error:
        raise AsyncVLAError(f"the definition of {kind} is not installed") from error
    found = dict(get_types_from_msg(text, kind))
    for _, description in found[kind][1]:
        part = _part(description)
        if part is not None:
            found |= _installed(part, {**known, **found})
    return found


def _part(description: Any) -> str | None:
    """Return the message type that a field consists of, or None."""
    node, content = description
    if node == Nodetype.NAME:
        return str(content)
    return _part(content[0]) if node in (Nodetype.ARRAY, Nodetype.SEQUENCE) else None


def _definitions(connection: Connection) -> dict[str, Any]:
    """Parse the definitions of a connection's type and what it consists of; empty if none can be read."""
    definition = connection.msgdef
    try:
        if definition.format == MessageDefinitionFormat.MSG:
            return dict(get_types_from_msg(definition.data, connection.msgtype))
        if definition.format == MessageDefinitionFormat.IDL:
            parts = [part.partition("\n")[2] for part in definition.data.split(_SEPARATOR)[1:]]
            texts = parts if definition.data.startswith(_SEPARATOR + _HEADER) else [definition.data]
            return {name: fields for text in texts for name, fields in get_types_from_idl(text).items()}
    except Exception:
        # Whatever a parser makes of damaged text: the type may be among the usual ones, or its messages count
        # as those that cannot be read.
        return {}
    return {}


@cache
def _usual() -> dict[str, Any]:
    """Return the types of a ROS distribution, and of this package."""
    known = dict(get_typestore(Stores.ROS2_KILTED).fielddefs)
    for file in sorted(_message_files()):
        known |= get_types_from_msg(file.read_text(encoding="utf-8"), f"asyncvla_msgs/msg/{file.stem}")
    return known


def _message_files() -> Iterable[Path]:
    folder = share_dir() / "asyncvla_msgs" / "msg"
    if not folder.is_dir():
        from ament_index_python.packages import PackageNotFoundError, get_package_share_directory

        try:
            folder = Path(get_package_share_directory("asyncvla_msgs")) / "msg"
        except (PackageNotFoundError, LookupError) as error:
            raise AsyncVLAError("asyncvla_msgs is not installed; build the workspace, source it") from error
    return folder.glob("*.msg")
