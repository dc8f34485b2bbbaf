"""The ament_python package: what `colcon build` and `pip install --editable` install."""

from __future__ import annotations

from pathlib import Path

from setuptools import find_packages, setup

NAME = "asyncvla_ros"


def files_below(directory: str) -> list[Path]:
    """All files in a directory of this package, at any depth (Humble's setuptools has no ``**``)."""
    return sorted(path for path in Path(directory).rglob("*") if path.is_file() and path.suffix != ".pyc")


def shared(directory: str) -> list[tuple[str, list[str]]]:
    """``data_files`` that put a directory, with its sub-directories, into the share of this package."""
    files = files_below(directory)
    folders = sorted({path.parent for path in files})
    return [
        (f"share/{NAME}/{folder}", [str(path) for path in files if path.parent == folder])
        for folder in folders
    ]


setup(
    name=NAME,
    version="0.1.0",
    description="Asynchronous flow matching for vision-language-action models on ROS 2",
    license="Apache-2.0",
    maintainer="asyncvla_ros maintainers",
    maintainer_email="maintainers@example.com",
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    package_data={NAME: [str(path.relative_to(NAME)) for path in files_below(f"{NAME}/checkpoints")]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        *shared("launch"),
        *shared("config"),
    ],
    install_requires=["setuptools"],
    python_requires=">=3.10",
    zip_safe=False,
    entry_points={
        "console_scripts": [
            "asyncvla = asyncvla_ros.cli.start:main",
            "policy_node = asyncvla_ros.ros.policy_node:main",
            "controller_node = asyncvla_ros.ros.controller_node:main",
            "recorder_node = asyncvla_ros.ros.recorder_node:main",
            "libero_sim_node = asyncvla_ros.ros.libero_sim_node:main",
            "visualizer_node = asyncvla_ros.ros.visualizer_node:main",
        ],
    },
)
