"""Whatever a node is given as a parameter: it says what is wrong, or works."""

from __future__ import annotations

import dataclasses
import json
import random
from collections import Counter
from collections.abc import Iterator

import pytest
import rclpy
from rclpy.exceptions import ParameterException
from rclpy.parameter import Parameter

from asyncvla_ros.ros.controller.node import ControllerNode
from asyncvla_ros.ros.controller.parameters import ControllerParameters
from asyncvla_ros.ros.libero_sim.node import LiberoSimNode
from asyncvla_ros.ros.libero_sim.parameters import SimParameters
from asyncvla_ros.ros.policy.node import PolicyNode
from asyncvla_ros.ros.policy.parameters import PolicyParameters
from asyncvla_ros.ros.visualizer.node import VisualizerNode
from asyncvla_ros.ros.visualizer.parameters import VisualizerParameters
from asyncvla_ros.types import AsyncVLAError
from support.policies import StillPolicy

pytestmark = pytest.mark.ros

CASES = 240
TEXTS = (
    *("", "  ", "a b", "/", "//", "~", "~/x", "~private", "é", "\0", "a\0b", "x" * 300, "../..", "/dev/null"),
    *("7", "on", "{x}", "1a", "a//b", "a/", "libero_panda", "ur5e", "/nowhere/x.yaml", "nan"),
)
NUMBERS = (0, -1, 1, 2**31, 2**62, 0.0, -0.5, 1e308, float("nan"), float("inf"), -float("inf"))
OTHERS = (True, False, [], [1], ["a"], [1.0])


class StillNode(PolicyNode):
    """Without torch."""

    def load_policy(self):
        return StillPolicy()


NODES = {
    ControllerNode: ControllerParameters,
    VisualizerNode: VisualizerParameters,
    StillNode: PolicyParameters,
    LiberoSimNode: SimParameters,
}


def _text(value: object) -> str:
    """As YAML."""
    text = json.dumps(value)
    return {"NaN": ".nan", "Infinity": ".inf", "-Infinity": "-.inf"}.get(text, text)


def _odd(default: object, rng: random.Random) -> object:
    every = (*TEXTS, *NUMBERS, *OTHERS)
    same = TEXTS if isinstance(default, str) else [v for v in every if type(v) is type(default)]
    return rng.choice(same if same and rng.random() < 0.75 else every)


def _overrides(kind: type, rng: random.Random) -> dict[str, object]:
    fields = [field for field in dataclasses.fields(kind) if field.name != "autostart"]
    chosen = rng.sample(fields, rng.choice([1, 1, 2]))
    return {field.name: _odd(field.default, rng) for field in chosen}


def _cases() -> Iterator[tuple[type, dict[str, object]]]:
    rng = random.Random(0)
    for _ in range(CASES):
        node, kind = rng.choice(list(NODES.items()))
        yield node, _overrides(kind, rng)


def test_only_errors_of_ours_and_of_parameters_come_out():
    outcomes: Counter[str] = Counter()
    for create, overrides in _cases():
        arguments = [part for name, value in overrides.items() for part in ("-p", f"{name}:={_text(value)}")]
        rclpy.init(args=["--ros-args", *arguments])
        node = None
        try:
            node = create()
            node.configure()
        except (AsyncVLAError, ParameterException, OSError) as error:
            assert str(error)
            outcomes["refused"] += 1
        else:
            outcomes["taken"] += 1
        finally:
            if node is not None:
                node.resources.close()
                node.destroy_node()
            rclpy.shutdown()
    assert outcomes["refused"] > CASES / 3 and outcomes["taken"] > CASES / 10, outcomes


def test_a_change_in_operation_is_refused_with_a_reason_or_made():
    rng = random.Random(1)
    refused = 0
    for create, kind in NODES.items():
        rclpy.init(args=[])
        node = create()
        try:
            for _ in range(CASES // 4):
                ((name, value),) = list(_overrides(kind, rng).items())[:1]
                if isinstance(value, list) or (isinstance(value, int) and abs(value) >= 2**63):
                    continue
                (result,) = node.set_parameters([Parameter(name, value=value)])
                assert result.successful or result.reason
                refused += not result.successful
        finally:
            node.destroy_node()
            rclpy.shutdown()
    assert refused > 50
