"""Make this checkout runnable on a Debian or Ubuntu machine without ROS: ``python3 tools/setup.py``.

Seven steps, each skipped when nothing it depends on has changed: system packages, Python 3.12 in ``.venv``,
the packages of requirements.txt, the repair of the ROS wheels, the messages (asyncvla_msgs), this package
itself; the last one, software Vulkan, is optional.
Needs only a Python 3.9 or newer; writes only to ``.venv`` and ``.cache`` of this checkout.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from commands import CACHE, ROOT, SetupError, run
from interpreters import find_python, find_uv
from system_packages import install_system_packages
from vulkan import unpack_vulkan_once

VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMPS = VENV / "asyncvla-setup"

# Paths of the build machine in the exported CMake files of the ROS wheels.
BUILD_INCLUDE = "/opt/python/cp312-cp312/include/python3.12"
BUILD_NUMPY = "/opt/python/cp312-cp312/lib/python3.12/site-packages/numpy/_core/include"


def main() -> int:
    """Run all steps; return the exit code."""
    started = time.monotonic()
    try:
        for number, (title, step) in enumerate(STEPS, start=1):
            begin = time.monotonic()
            print(f"[{number}/{len(STEPS)}] {title} ...", end=" ", flush=True)
            outcome = step()
            print(f"{outcome} ({time.monotonic() - begin:.1f} s)", flush=True)
    except KeyboardInterrupt:
        print("interrupted; the next run goes on from here", file=sys.stderr)
        return 130
    except SetupError as error:
        print(f"failed\n{error}", file=sys.stderr)
        return 1
    print(f"Ready in {time.monotonic() - started:.1f} s.")
    return 0


# --- steps: each returns a short description of what it did -----------------------------------------------


def create_environment() -> str:
    """Create ``.venv``; replace it unless the lock is installed, because it cannot be updated in place.

    The ROS wheels have an .egg-info beside their .dist-info; a second ``uv pip sync`` takes these for other
    packages and removes their files.
    """
    if _stamped("packages", _lock_key()) and _works(PYTHON):
        return "up to date"
    found = find_python(CACHE)
    uv = find_uv(CACHE, found)
    if uv is not None:
        version = str(found) if found else "3.12"
        options = [] if found else ["--managed-python"]
        run([str(uv), "venv", "--clear", *options, "--python", version, str(VENV)], "venv", env=_uv_env())
    elif found is not None:
        run([str(found), "-m", "venv", "--clear", str(VENV)], "venv")
    else:
        raise SetupError("Neither Python 3.12 nor uv (which can download it) was found; install one of them.")
    # A workspace that contains this checkout must not search the environment for ROS packages.
    (VENV / "COLCON_IGNORE").touch()
    return f"{VENV.name} of {found or 'a downloaded Python 3.12'}"


def install_packages() -> str:
    """Install the packages of requirements.txt."""
    key = _lock_key()
    if _stamped("packages", key):
        return "up to date"
    lock = ROOT / "requirements.txt"
    uv = find_uv(CACHE, None)
    if uv is not None:
        run([str(uv), "pip", "sync", "--python", str(PYTHON), str(lock)], "packages", env=_uv_env())
    else:
        run([str(PYTHON), "-m", "pip", "install", "--no-deps", "-r", str(lock)], "packages")
    _stamp("packages", key)
    return f"{sum(1 for line in lock.read_text().splitlines() if '==' in line)} packages installed"


def repair_ros_wheels() -> str:
    """Replace paths of the build machine in the CMake files of the ROS wheels."""
    key = _lock_key()
    if _stamped("ros-wheels", key):
        return "up to date"
    code = "import sysconfig, numpy; print(sysconfig.get_paths()['include']); print(numpy.get_include())"
    include, numpy_include = _output([str(PYTHON), "-c", code]).splitlines()
    repaired = 0
    for path in (VENV / "share").rglob("*.cmake"):
        text = path.read_text()
        if BUILD_INCLUDE in text or BUILD_NUMPY in text:
            # Written beside and renamed, because the file may be a hard link into the cache of uv.
            beside = path.with_suffix(".repaired")
            beside.write_text(text.replace(BUILD_INCLUDE, include).replace(BUILD_NUMPY, numpy_include))
            beside.replace(path)
            repaired += 1
    _stamp("ros-wheels", key)
    return f"{repaired} CMake files repaired"


def build_messages() -> str:
    """Build asyncvla_msgs into ``.venv``."""
    sources = sorted(path for path in (ROOT / "asyncvla_msgs").rglob("*") if path.is_file())
    key = _digest(_lock_key(), *(str(path.relative_to(ROOT)) for path in sources), *sources)
    if _stamped("messages", key):
        return "up to date"
    CACHE.mkdir(parents=True, exist_ok=True)
    (CACHE / "COLCON_IGNORE").touch()
    # colcon warns about a prefix without set-up scripts; the first build replaces these.
    (VENV / "local_setup.sh").touch()
    with tempfile.TemporaryDirectory(prefix="asyncvla-") as parent:
        # ROS's CMake files reject paths with spaces or letters beyond ASCII, which the checkout's may have.
        workspace, venv = Path(parent) / "workspace", Path(parent) / "venv"
        venv.symlink_to(VENV)
        shutil.copytree(ROOT / "asyncvla_msgs", workspace / "asyncvla_msgs")
        run(
            [
                str(PYTHON), "-m", "colcon", f"--log-base={workspace / 'log'}",
                "build", f"--base-paths={workspace / 'asyncvla_msgs'}", f"--build-base={workspace / 'build'}",
                f"--install-base={venv}", "--merge-install",
                "--cmake-args", f"-DPython3_EXECUTABLE={venv / 'bin' / 'python'}", "-DBUILD_TESTING=OFF",
            ],
            "messages",
            env={
                "AMENT_PREFIX_PATH": str(venv),
                "CMAKE_PREFIX_PATH": str(venv),
                "PATH": f"{venv / 'bin'}{os.pathsep}{os.environ['PATH']}",
            },
        )  # fmt: skip
    run([str(PYTHON), "-c", "import rclpy, asyncvla_msgs.msg, asyncvla_msgs.action"], "messages-import")
    _stamp("messages", key)
    return "asyncvla_msgs built"


def install_this_package() -> str:
    """Install this package in editable mode."""
    key = _digest(_lock_key(), ROOT / "setup.py", ROOT / "setup.cfg", ROOT / "package.xml")
    if _stamped("package", key):
        return "up to date"
    options = ["--no-deps", "--no-build-isolation", "--editable", str(ROOT)]
    uv = find_uv(CACHE, None)
    if uv is not None:
        run([str(uv), "pip", "install", "--python", str(PYTHON), *options], "package", env=_uv_env())
    else:
        run([str(PYTHON), "-m", "pip", "install", *options], "package")
    _stamp("package", key)
    return "asyncvla_ros installed, editable"


STEPS: Sequence[tuple[str, Callable[[], str]]] = (
    ("System packages", install_system_packages),
    ("Python environment", create_environment),
    ("Python packages", install_packages),
    ("ROS wheels", repair_ros_wheels),
    ("ROS messages", build_messages),
    ("This package", install_this_package),
    ("Software Vulkan", unpack_vulkan_once),
)


# --- helpers ----------------------------------------------------------------------------------------------


def _output(command: list[str]) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def _uv_env() -> dict[str, str]:
    # Also keep a Python that uv downloads within the checkout.
    # Compile once here; with PYTHONDONTWRITEBYTECODE every process would do it again.
    return {
        "UV_PYTHON_INSTALL_DIR": str(CACHE / "python"),
        "UV_NO_PROGRESS": "1",
        "UV_COMPILE_BYTECODE": "1",
    }


def _works(python: Path) -> bool:
    check = "import sys; sys.exit(sys.version_info[:2] != (3, 12))"
    return python.exists() and subprocess.call([str(python), "-I", "-S", "-c", check]) == 0


def _lock_key() -> str:
    # The location is part of the key, because scripts and CMake files in .venv contain it.
    return _digest(str(ROOT), ROOT / "requirements.txt")


def _digest(*parts: str | Path) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.read_bytes() if isinstance(part, Path) else part.encode())
    return digest.hexdigest()


def _stamped(name: str, key: str) -> bool:
    stamp = STAMPS / name
    return stamp.exists() and stamp.read_text() == key


def _stamp(name: str, key: str) -> None:
    STAMPS.mkdir(parents=True, exist_ok=True)
    (STAMPS / name).write_text(key)


if __name__ == "__main__":
    sys.exit(main())
