"""Node parameters as one frozen dataclass per node: declared once, typed, checked on every change."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

from asyncvla_ros.common.renamed import deprecation
from asyncvla_ros.common.yaml_section import TOPIC, TOPIC_FORM
from asyncvla_ros.types import AsyncVLAError

P = TypeVar("P")


@dataclasses.dataclass(frozen=True)
class Declaration:
    """Declaration of one parameter; the attributes are the arguments of ``parameter``."""

    default: Any
    description: str
    minimum: float | None
    maximum: float | None
    choices: tuple[str, ...]
    read_only: bool
    is_topic: bool
    former: str | None


def parameter(
    default: Any,
    description: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: Sequence[str] = (),
    read_only: bool = False,
    is_topic: bool = False,
    former: str | None = None,
) -> Any:
    """Create a dataclass field that is a node parameter; its type is that of ``default``.

    Args:
        default: Value unless a parameter file or the command line gives another one.
        description: Shown by ``ros2 param describe``; with the unit.
        minimum: Smallest permitted number; needs ``maximum``.
        maximum: Largest permitted number.
        choices: Permitted texts; empty: any.
        read_only: Fixed when the node starts.
        is_topic: The name of a topic; empty only if the default is.
        former: Retired name, which is still read.
    """
    declaration = Declaration(
        default,
        description,
        minimum,
        maximum,
        choices=tuple(choices),
        read_only=read_only,
        is_topic=is_topic,
        former=former,
    )
    return dataclasses.field(default=default, metadata={"declaration": declaration})


def declarations(kind: type) -> dict[str, Declaration]:
    """Return the declarations of a dataclass whose fields are made by ``parameter``, by name."""
    return {field.name: field.metadata["declaration"] for field in dataclasses.fields(kind)}


class Parameters(Generic[P]):
    """Declares the fields of a dataclass on a node and keeps the current values.

    Args:
        node: Owner of the parameters.
        kind: Frozen dataclass whose fields are made by ``parameter``.
        on_change: Called with the old and the new values; raises AsyncVLAError to refuse the change.

    Raises:
        AsyncVLAError: an initial value is none of the choices, no topic, or none at all, or has a retired
            name and the wrong type.
        rclpy.exceptions.ParameterException: an initial value has the wrong type or is out of range.
    """

    def __init__(self, node: Node, kind: type[P], on_change: Callable[[P, P], None] | None = None):
        self._declarations = declarations(kind)
        self._on_change = on_change
        values = {}
        for name, declaration in self._declarations.items():
            initial = _initial_value(node, name, declaration)
            values[name] = node.declare_parameter(name, initial, _descriptor(declaration)).value
            _check(name, values[name], declaration)
        self.values: P = kind(**values)
        node.add_on_set_parameters_callback(self._changed)

    def _changed(self, parameters: list[Parameter]) -> SetParametersResult:
        changes = {p.name: p.value for p in parameters if p.name in self._declarations}
        try:
            for name, value in changes.items():
                _check(name, value, self._declarations[name])
            new = dataclasses.replace(self.values, **changes)  # type: ignore[type-var]
            if self._on_change is not None:
                self._on_change(self.values, new)
        except AsyncVLAError as error:
            return SetParametersResult(successful=False, reason=str(error))
        self.values = new
        return SetParametersResult(successful=True)


def _initial_value(node: Node, name: str, declaration: Declaration) -> Any:
    """Return what the retired name of a parameter gives, if it has one, or else the default."""
    retired, default = declaration.former, declaration.default
    if retired is None:
        return default
    descriptor = ParameterDescriptor(description=f"Deprecated: {name}", read_only=True, dynamic_typing=True)
    value = node.declare_parameter(retired, None, descriptor).value
    if value is None:
        return default
    node.get_logger().warning(f"parameter {deprecation(retired, name)}")
    if type(value) is not type(default):
        raise AsyncVLAError(f"parameter {retired} is {value!r}, expected one such as {default!r}")
    return value


def _descriptor(declaration: Declaration) -> ParameterDescriptor:
    text = declaration.description
    if declaration.choices:
        text += f"; one of {_listed(declaration.choices)}"
    descriptor = ParameterDescriptor(description=text, read_only=declaration.read_only)
    if declaration.minimum is None or declaration.maximum is None:
        return descriptor
    if isinstance(declaration.default, float):
        bounds = FloatingPointRange(
            from_value=float(declaration.minimum), to_value=float(declaration.maximum)
        )
        descriptor.floating_point_range = [bounds]
    else:
        descriptor.integer_range = [
            IntegerRange(from_value=int(declaration.minimum), to_value=int(declaration.maximum), step=1)
        ]
    return descriptor


def _check(name: str, value: Any, declaration: Declaration) -> None:
    if value is None:
        # An empty list, which has no type, arrives as None.
        raise AsyncVLAError(f"parameter {name} has no value, expected one such as {declaration.default!r}")
    if declaration.choices and value not in declaration.choices:
        raise AsyncVLAError(f"parameter {name} is {value!r}, expected one of {_listed(declaration.choices)}")
    if declaration.is_topic and (value or declaration.default) and not TOPIC.fullmatch(value):
        raise AsyncVLAError(f"parameter {name} is {value!r}, expected {TOPIC_FORM}")


def _listed(choices: Sequence[str]) -> str:
    return ", ".join([*filter(None, choices), *(["or empty"] if "" in choices else [])])
