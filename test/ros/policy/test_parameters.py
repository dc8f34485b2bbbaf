from __future__ import annotations

from dataclasses import asdict, fields

import pytest

from asyncvla_ros.common.options import CHOICES, MINIMUM
from asyncvla_ros.ros.parameters import declarations
from asyncvla_ros.ros.policy.parameters import PolicyParameters
from asyncvla_ros.strategy import Strategy

DECLARED = declarations(PolicyParameters)


def test_the_defaults_say_nothing():
    assert PolicyParameters().strategy == Strategy()


@pytest.mark.parametrize("field", fields(Strategy), ids=lambda field: field.name)
def test_every_field_of_a_strategy_can_be_set(field):
    declared = DECLARED[field.name]
    assert declared.description.endswith(": as the checkpoint says") and not declared.read_only
    if choices := field.metadata[CHOICES]:
        assert declared.choices == ("", *choices)
        value = choices[-1]
    else:
        # The lowest value of the range stands for nothing; what may be said begins above it.
        assert declared.minimum == declared.default < (field.metadata[MINIMUM] or 0) + 1
        value = type(declared.default)(1)
        assert value < declared.maximum
    other = {"threshold": 0.5} if value == "variance" else {}
    said = asdict(PolicyParameters(**{field.name: value, **other}).strategy)
    assert {name for name, given in said.items() if given is not None} == {field.name, *other}
    assert said[field.name] == value
