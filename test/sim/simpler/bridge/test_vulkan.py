from __future__ import annotations

import pytest

from asyncvla_ros.sim.simpler.bridge import vulkan


@pytest.fixture
def unpacked(tmp_path, monkeypatch):
    """Make a folder as ``tools/vulkan.py`` leaves it, on a machine without an NVIDIA driver."""
    monkeypatch.setattr(vulkan, "_NVIDIA", tmp_path / "version")
    (tmp_path / "usr/share/vulkan/icd.d").mkdir(parents=True)
    (tmp_path / "usr/share/vulkan/icd.d/lvp_icd.x86_64.json").touch()
    (tmp_path / "usr/lib/x86_64-linux-gnu").mkdir(parents=True)
    return tmp_path


def test_unpacked_software_goes_before_other_libraries(unpacked):
    found = vulkan.vulkan_environment({"LD_LIBRARY_PATH": "/opt/lib", "HOME": "/home/me"}, unpacked)
    assert found == {
        "HOME": "/home/me",
        "VK_ICD_FILENAMES": f"{unpacked}/usr/share/vulkan/icd.d/lvp_icd.x86_64.json",
        "LD_LIBRARY_PATH": f"{unpacked}/usr/lib/x86_64-linux-gnu:/opt/lib",
    }
    assert vulkan.render_backend() == "cpu"


def test_the_choice_of_the_user_and_a_gpu_go_first(unpacked):
    chosen = {"VK_ICD_FILENAMES": "/mine.json"}
    assert vulkan.vulkan_environment(chosen, unpacked) == chosen
    (unpacked / "version").touch()
    assert vulkan.vulkan_environment({}, unpacked) == {}
    assert vulkan.render_backend() == "gpu"


def test_without_it_the_system_decides(unpacked):
    assert vulkan.vulkan_environment({"A": "b"}, unpacked / "nothing") == {"A": "b"}
