import logging

import pytest

from asyncvla_ros.robot.contract_file import parse_robot
from asyncvla_ros.types import ContractError
from support.contracts import contract_data


def test_the_rate_of_actions_is_read_by_its_retired_name(caplog):
    data = contract_data("libero_panda")
    older = {"control_hz" if key == "action_hz" else key: value for key, value in data.items()}
    with caplog.at_level(logging.WARNING):
        assert parse_robot(older, "panda.yaml") == parse_robot(data, "panda.yaml")
    assert caplog.messages == ["panda.yaml: the key control_hz is deprecated, use action_hz"]


def test_one_rate_of_actions_is_enough():
    with pytest.raises(ContractError, match="unknown key control_hz; the keys are name, action_hz"):
        parse_robot(contract_data("libero_panda") | {"control_hz": 20.0, "action_hz": 20.0}, "panda.yaml")
