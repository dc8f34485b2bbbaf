"""Unpack Mesa's software Vulkan below ``.cache``, without root: ``python3 tools/vulkan.py``.

mani-skill renders only with Vulkan. Without a GPU that needs Mesa 24.3 or newer, which Debian 12 has in its
backports. apt downloads the packages from this machine's mirror; nothing is installed.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from commands import CACHE, SetupError, run

TARGET = CACHE / "vulkan"
PACKAGES = ("mesa-vulkan-drivers", "libvulkan1")
DRIVER = "usr/share/vulkan/icd.d/lvp_icd*.json"
OLDEST_MESA = (24, 3)
OS_RELEASE = Path("/etc/os-release")
NVIDIA = Path("/proc/driver/nvidia/version")


def main() -> int:
    """Unpack the driver; return the exit code."""
    try:
        print(unpack_vulkan())
    except SetupError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def unpack_vulkan() -> str:
    """Download and unpack the driver, unless done already; describe it; SetupError if it fails."""
    if any(TARGET.glob(DRIVER)):
        return "up to date"
    tools = ("apt-get", "dpkg")
    if not all(map(shutil.which, tools)):
        raise SetupError(
            "Only on Debian and Ubuntu can software Vulkan be unpacked; elsewhere install Mesa 24.3 or newer"
        )
    work = CACHE / "vulkan-download"
    archives = work / "archives"
    for folder in (work / "lists" / "partial", archives / "partial"):
        folder.mkdir(parents=True, exist_ok=True)
    (work / "sources.list").write_text("".join(f"{line}\n" for line in _sources()))
    backports = f"{_release()['VERSION_CODENAME']}-backports"
    run(["apt-get", *_options(work), "update"], "vulkan-update")
    download = ["install", "--yes", "--download-only", "--reinstall", "--no-install-recommends"]
    run(
        ["apt-get", *_options(work), *download, f"--target-release={backports}", *PACKAGES], "vulkan-download"
    )
    _require_new_enough(archives)
    # Whole or not at all, because an unpacked folder counts as done.
    partial = TARGET.with_name("vulkan.partial")
    shutil.rmtree(partial, ignore_errors=True)
    for archive in sorted(archives.glob("*.deb")):
        run(["dpkg", "-x", str(archive), str(partial)], "vulkan-unpack")
    if not any(partial.glob(DRIVER)):
        raise SetupError(f"No software Vulkan driver ({DRIVER}) in the packages that apt put into {archives}")
    shutil.rmtree(TARGET, ignore_errors=True)
    partial.replace(TARGET)
    shutil.rmtree(work)
    return f"unpacked into {TARGET.relative_to(CACHE.parent)}"


def unpack_vulkan_once() -> str:
    """Run ``unpack_vulkan`` as a step of the set-up: once per checkout, and optional."""
    attempt = CACHE / "setup" / "vulkan-attempt"
    if NVIDIA.exists():
        return "not needed beside an NVIDIA driver"
    if attempt.exists() and not any(TARGET.glob(DRIVER)):
        return "done without, as before; python3 tools/vulkan.py tries again"
    attempt.parent.mkdir(parents=True, exist_ok=True)
    attempt.touch()
    try:
        return unpack_vulkan()
    except (SetupError, OSError):
        return "done without: tests of the Bridge simulation skip; python3 tools/vulkan.py says why"


def _options(work: Path) -> list[str]:
    """Return apt with separate lists, archives and sources, but the system's installed packages."""
    settings = {
        "Dir::State::lists": work / "lists",
        "Dir::Cache::archives": work / "archives",
        "Dir::Cache::pkgcache": "",
        "Dir::Cache::srcpkgcache": "",
        "Dir::Etc::sourcelist": work / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "Debug::NoLocking": "1",
        # As root, apt would download as a user who cannot write into this checkout.
        "APT::Sandbox::User": "root",
    }
    return [part for name, value in settings.items() for part in ("-o", f"{name}={value}")]


def _sources() -> list[str]:
    """Return apt sources of the release from this machine's mirror, with its backports."""
    codename = _release()["VERSION_CODENAME"]
    query = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME) $(RELEASE) $(COMPONENT)"]
    answer = subprocess.run(query, stdout=subprocess.PIPE, text=True, check=False).stdout
    known = {tuple(fields) for line in answer.splitlines() if len(fields := line.split()) == 4}
    own = sorted({(uri, codename, part) for uri, *names, part in known if codename in names})
    if not own:
        raise SetupError(f"apt has no source of {codename}, the release of this machine")
    updates = sorted(
        {
            (uri, name, part)
            for uri, *names, part in known
            for name in names
            if name.startswith(f"{codename}-")
        }
    )
    backports = [(uri, f"{codename}-backports", part) for uri, _, part in own]
    keyring = Path("/usr/share/keyrings") / f"{_release()['ID']}-archive-keyring.gpg"
    signed = f"[signed-by={keyring}] " if keyring.is_file() else ""
    return [f"deb {signed}{' '.join(source)}" for source in dict.fromkeys([*own, *updates, *backports])]


def _release() -> dict[str, str]:
    """Return the values of /etc/os-release, such as ID and VERSION_CODENAME."""
    try:
        lines = OS_RELEASE.read_text().splitlines()
    except OSError as error:
        raise SetupError(f"This machine does not say which release it is: {error}") from error
    pairs = (part.partition("=") for line in lines for part in shlex.split(line, comments=True))
    return {"VERSION_CODENAME": "", "ID": "", **{name: value for name, _, value in pairs}}


def _require_new_enough(archives: Path) -> None:
    """Raise SetupError if this release's Mesa is too old for SAPIEN."""
    for archive in archives.glob(f"{PACKAGES[0]}_*.deb"):
        found = re.search(r"_(?:\d+%3a)?(\d+)\.(\d+)", archive.name)
        if found and (int(found[1]), int(found[2])) >= OLDEST_MESA:
            return
        raise SetupError(
            f"apt offers {archive.name}, expected Mesa {'.'.join(map(str, OLDEST_MESA))} or newer; set "
            "VK_ICD_FILENAMES and LD_LIBRARY_PATH to one that you have from elsewhere"
        )


if __name__ == "__main__":
    sys.exit(main())
