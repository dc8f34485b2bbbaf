"""Strict reading of YAML: repeated keys are errors, and ``1e-1`` is a number."""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from asyncvla_ros.types import ContractError

# YAML 1.2 reads these as numbers; YAML 1.1, and so PyYAML, requires a point and a sign.
_EXPONENT = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$")


class _Loader(yaml.SafeLoader):
    """Refuse a key that occurs twice in a mapping, of which PyYAML would keep the last value."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 (PyYAML's)
        lines: dict[str, int] = {}
        for key, _ in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if name in lines:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {name} stands in line {lines[name]} already", key.start_mark
                )
            lines[name] = line
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, list("-+0123456789"))


def read_yaml(path: Path, what: str) -> tuple[str, Any]:
    """Return the text of a YAML file and its parsed content.

    Args:
        path: The file.
        what: Kind of file for messages, such as ``robot contract``.

    Raises:
        ContractError: the file is missing, is not in UTF-8, is no YAML, or repeats a key.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ContractError(f"{path}: cannot read the {what}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line, byte = error.object[: error.start].count(b"\n") + 1, error.object[error.start]
        raise ContractError(
            f"{path}: cannot read the {what}: line {line} is no UTF-8 (byte {byte:#04x}); save it as UTF-8"
        ) from error
    try:
        return text, yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError) as error:
        raise ContractError(f"{path}: no valid YAML: {error}") from error
    except RecursionError as error:
        raise ContractError(f"{path}: no valid YAML: it is nested too deeply") from error
