"""Reading a mapping of a configuration file, with the place and the choices in each error."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from asyncvla_ros.types import ContractError

# Names that ROS accepts (design.ros2.org, topic and service names), without substitutions.
TOPIC = re.compile(r"(?=.{1,200}$)(~/|/)?[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*")
TOPIC_FORM = (
    "a topic such as wrist/image_raw, /joint_states or ~/command (letters, digits and _ between slashes, no "
    "digit first, 200 characters at most)"
)


class Section:
    """One mapping of a YAML file, with accessors that check and name the place in their errors.

    Args:
        data: Output of the YAML parser.
        where: The place for messages, such as ``libero_panda.yaml: action.dofs[2]``.
        keys: Permitted keys.

    Raises:
        ContractError: the data is no mapping, or has an unknown key.
    """

    def __init__(self, data: Any, where: str, keys: Sequence[str]):
        if not isinstance(data, Mapping):
            raise ContractError(
                f"{where}: expected a mapping with the keys {', '.join(keys)}, found {data!r}"
            )
        unknown = [str(key) for key in data if key not in keys]
        if unknown:
            raise ContractError(f"{where}: unknown key {', '.join(unknown)}; the keys are {', '.join(keys)}")
        self._data = data
        self.where = where

    def has(self, key: str) -> bool:
        """Return whether an optional key is present."""
        return key in self._data

    def raw(self, key: str) -> Any:
        """Return a required value as parsed."""
        if key not in self._data:
            found = ", ".join(map(str, self._data)) or "nothing"
            raise ContractError(f"{self.where}: the key {key} is missing; found {found}")
        return self._data[key]

    def text(self, key: str, choices: Sequence[str] = ()) -> str:
        """Return a non-empty string, one of ``choices`` where given."""
        value = self.raw(key)
        if not isinstance(value, str) or not value:
            raise ContractError(f"{self.where}.{key}: expected a text, found {value!r}")
        if choices and value not in choices:
            raise ContractError(f"{self.where}.{key}: expected one of {', '.join(choices)}, found {value!r}")
        return value

    def flag(self, key: str) -> bool:
        """Return ``true`` or ``false``."""
        value = self.raw(key)
        if not isinstance(value, bool):
            raise ContractError(f"{self.where}.{key}: expected true or false, found {value!r}")
        return value

    def topic(self, key: str) -> str:
        """Return the name of a topic, service or action that ROS accepts."""
        name = self.text(key)
        if not TOPIC.fullmatch(name):
            raise ContractError(f"{self.where}.{key}: expected {TOPIC_FORM}, found {name!r}")
        return name

    def positive(self, key: str) -> float:
        """Return a finite number above zero."""
        value = _number(self.raw(key), f"{self.where}.{key}")
        if value <= 0:
            raise ContractError(f"{self.where}.{key}: expected a number above 0, found {value:g}")
        return value

    def optional_positive(self, key: str) -> float | None:
        """Return a finite number above zero; None if the key is absent."""
        return self.positive(key) if self.has(key) else None

    def interval(self, key: str) -> tuple[float, float]:
        """Return ``[minimum, maximum]``, finite and in this order."""
        values = self.items(key)
        if len(values) != 2:
            raise ContractError(f"{self.where}.{key}: expected [minimum, maximum], found {values!r}")
        low, high = (_number(value, f"{self.where}.{key}") for value in values)
        if low >= high:
            raise ContractError(f"{self.where}.{key}: expected minimum < maximum, found [{low:g}, {high:g}]")
        return low, high

    def pair(self, key: str) -> tuple[float, float]:
        """Return two different finite numbers, in either order."""
        values = self.items(key)
        if len(values) != 2:
            raise ContractError(f"{self.where}.{key}: expected two numbers, found {values!r}")
        first, second = (_number(value, f"{self.where}.{key}") for value in values)
        if first == second:
            raise ContractError(f"{self.where}.{key}: expected two different numbers, found {first:g} twice")
        return first, second

    def items(self, key: str) -> list[Any]:
        """Return a non-empty list."""
        value = self.raw(key)
        if not isinstance(value, list) or not value:
            raise ContractError(
                f"{self.where}.{key}: expected a list with at least one entry, found {value!r}"
            )
        return value

    def names(self, key: str) -> tuple[str, ...]:
        """Return a non-empty list of distinct strings."""
        values = self.items(key)
        for value in values:
            if not isinstance(value, str) or not value:
                raise ContractError(f"{self.where}.{key}: expected names, found {value!r}")
        return distinct(values, f"{self.where}.{key}")


def distinct(names: Sequence[str], where: str) -> tuple[str, ...]:
    """Return the names as a tuple; ContractError if one occurs twice."""
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if twice:
        raise ContractError(f"{where}: {', '.join(twice)} occurs more than once")
    return tuple(names)


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ContractError(f"{where}: expected a finite number, found {value!r}")
    return float(value)
