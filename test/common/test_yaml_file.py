from __future__ import annotations

import pytest

from asyncvla_ros.common.yaml_file import read_yaml
from asyncvla_ros.types import ContractError


def read(tmp_path, text: str | bytes):
    file = tmp_path / "arm.yaml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_yaml(file, "robot contract")[1]


def test_numbers_with_an_exponent_are_numbers(tmp_path):
    assert read(tmp_path, "[1e-1, -2E3, 1.5e2, +1.e1, 7, 0.5]") == [0.1, -2000.0, 150.0, 10.0, 7, 0.5]
    assert read(tmp_path, "['1e-1', e1, 1e, joint_1e3, 1e3a]") == ["1e-1", "e1", "1e", "joint_1e3", "1e3a"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "limits:\n  velocity: 0.1\n  jerk: 1\n  velocity: 2.14\n",
            r"the key velocity stands in line 2 already",
        ),
        ("timeouts: {chunk_s: 1}\ntimeouts: {chunk_s: 100}\n", r"the key timeouts stands in line 1 already"),
        ("a: [1, 2", "arm.yaml: no valid YAML"),
        ("a: 2026-13-45\n", "arm.yaml: no valid YAML: month must be in"),
        ("[" * 2000, "arm.yaml: no valid YAML: it is nested too deeply"),
        ("a: !!python/object:os.system {}\n", "could not determine a constructor"),
        (
            "# Müller\nname: arm\n".encode("latin-1"),
            r"line 1 is no UTF-8 \(byte 0xfc\); save it as UTF-8",
        ),
    ],
)
def test_what_is_no_yaml_is_named_with_its_place(tmp_path, text, message):
    with pytest.raises(ContractError, match=message):
        read(tmp_path, text)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ContractError, match=r"other.yaml: cannot read the robot contract: No such file"):
        read_yaml(tmp_path / "other.yaml", "robot contract")
