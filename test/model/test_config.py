"""The default way to decide in ``config.json``."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from asyncvla_ros.model.config import AsyncVLAConfig, load_config
from asyncvla_ros.model.sizes import nano_config
from asyncvla_ros.model.weights import network_digest
from asyncvla_ros.strategy import Strategy
from asyncvla_ros.types import CheckpointError
from support.checkpoints import tiny_checkpoint


def test_the_strategy_survives_a_file_and_older_files_have_none():
    config = nano_config(32, strategy={"mode": "sfm", "handover": "guided", "guidance": 3})
    values = json.loads(json.dumps(config.to_dict()))
    assert AsyncVLAConfig.from_dict(values) == config
    del values["strategy"]
    assert AsyncVLAConfig.from_dict(values).strategy == {}


def test_steps_are_those_of_the_network_unless_told_otherwise():
    config = nano_config(32, num_denoise_steps=3, num_refine_steps=4, strategy={"mode": "sfm"})
    assert config.resolve(Strategy(refine_steps=1)) == Strategy(
        "sfm", "rater", None, 1, 3, 1, 1, "rater", "switch", "identity", 5.0
    )


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        (["sfm"], r"strategy in config.json is \['sfm'\], expected an object with keys of \['best_of'"),
        ({"moda": "sfm"}, "'moda': 'sfm'.*expected an object with keys of"),
        ({"denoise_steps": 1}, "the steps are num_denoise_steps and num_refine_steps"),
        ({"mode": "fast"}, "strategy in config.json: mode is 'fast', choose one of"),
        ({"best_of": "four"}, "strategy in config.json: best_of is 'four', expected at least 1"),
        ({"best_of": True}, "strategy in config.json: best_of is True"),
        ({"guidance": float("inf")}, "guidance is inf, expected a weight of at least 0"),
        ({"select": "variance"}, "select 'variance' expects a variance"),
        ({"threshold": [0.5]}, r"threshold is \[0.5\], expected a confidence"),
        ({"handover": ["keep"]}, r"handover is \['keep'\], choose one of"),
    ],
)
def test_a_default_that_is_none_is_refused(strategy: Any, message: str):
    with pytest.raises(CheckpointError, match=message):
        nano_config(32, strategy=strategy)


def test_graphs_do_not_depend_on_how_it_is_decided(tmp_path: Path):
    folder = tiny_checkpoint(tmp_path / "tiny")
    config = load_config(folder)
    assert network_digest(folder, config) == network_digest(folder, replace(config, strategy={"mode": "sfm"}))
