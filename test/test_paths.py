from __future__ import annotations

import sys
import types

import pytest

from asyncvla_ros import paths
from asyncvla_ros.types import AsyncVLAError


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """Make a checkout with two robots, and have ``paths`` find it."""
    robots = tmp_path / "config" / "robots"
    robots.mkdir(parents=True)
    for name in ("arm_b", "arm_a"):
        (robots / f"{name}.yaml").touch()
    (tmp_path / "package.xml").touch()
    monkeypatch.setattr(paths, "PACKAGE", tmp_path / "asyncvla_ros")
    return tmp_path


def test_in_a_checkout_the_share_is_the_repository(checkout):
    assert paths.share_dir() == checkout


def test_when_installed_the_share_is_that_of_ament(checkout, monkeypatch):
    (checkout / "package.xml").unlink()
    packages = types.ModuleType("ament_index_python.packages")
    packages.PackageNotFoundError = KeyError
    packages.get_package_share_directory = lambda name: f"/opt/workspace/share/{name}"
    monkeypatch.setitem(sys.modules, "ament_index_python.packages", packages)
    assert str(paths.share_dir()) == "/opt/workspace/share/asyncvla_ros"


def test_outside_of_both_the_message_says_what_to_do(checkout, monkeypatch):
    (checkout / "package.xml").unlink()
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(checkout))
    with pytest.raises(AsyncVLAError, match=r"source install/setup\.bash"):
        paths.share_dir()


def test_a_robot_is_found_by_name_and_by_path(checkout):
    expected = checkout / "config" / "robots" / "arm_a.yaml"
    assert paths.robot_file("arm_a") == expected
    assert paths.robot_file(str(expected)) == expected


@pytest.mark.parametrize("unknown", ["arm_c", "/nowhere/arm_c.yaml"])
def test_an_unknown_robot_lists_the_choices(checkout, unknown):
    with pytest.raises(AsyncVLAError, match=r"arm_c.*: arm_a, arm_b$"):
        paths.robot_file(unknown)


def test_a_contract_of_the_current_folder_is_hinted_at(checkout, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "arm_c.yaml").touch()
    with pytest.raises(AsyncVLAError, match=r"arm_a, arm_b; arm_c\.yaml is here: give it with its \.yaml$"):
        paths.robot_file("arm_c")


def test_the_shipped_checkpoint_is_package_data():
    assert paths.shipped_checkpoint().parent == paths.PACKAGE / "checkpoints"
