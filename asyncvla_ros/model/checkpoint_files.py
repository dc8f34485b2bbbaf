"""The files of a checkpoint, and the fingerprint of what they hold; needs no network."""

from __future__ import annotations

import hashlib
from pathlib import Path

from asyncvla_ros.common.json_file import read_json
from asyncvla_ros.types import CheckpointError

#: The weights in one file, or the index of several.
SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
#: What inference reads beside them.
FILES = ("config.json", "tokenizer.json", "features.json", "norm_stats.json")
#: Most problems that an error lists.
LISTED = 5
# What is read at once for a digest [bytes].
_READ_BYTES = 2**20


def fingerprint(folder: Path) -> str:
    """Compute 16 hex digits over all files that inference reads, so not over the model card.

    Raises:
        CheckpointError: If a file is missing.
    """
    require_files(folder)
    digest = hashlib.sha256()
    for name in FILES:
        digest.update(hashlib.sha256((folder / name).read_bytes()).digest())
        if name == "config.json":
            digest.update(digest_weights(folder))
    return digest.hexdigest()[:16]


def require_files(folder: Path) -> None:
    """Raise CheckpointError unless all files of a checkpoint are there."""
    missing = [name for name in FILES if not (folder / name).is_file()]
    if not (folder / SINGLE).is_file() and not (folder / INDEX).is_file():
        missing.append(SINGLE)
    if missing:
        raise CheckpointError(
            f"{folder} is not an AsyncVLA checkpoint: {missing} not found, expected {[*FILES, SINGLE]}"
        )


def weight_files(folder: Path) -> list[Path]:
    """Return the files of the weights in a checkpoint folder, in order of their names.

    Raises:
        CheckpointError: If there are none, or the index names files that are missing or elsewhere.
    """
    if not (folder / INDEX).is_file():
        if not (folder / SINGLE).is_file():
            raise CheckpointError(f"{folder} is not an AsyncVLA checkpoint: {SINGLE} not found")
        return [folder / SINGLE]
    names = read_json(folder / INDEX, CheckpointError).get("weight_map")
    if not isinstance(names, dict) or not names or not all(isinstance(n, str) for n in names.values()):
        raise CheckpointError(f"{folder / INDEX} has no weight_map, expected the file of each weight")
    files = sorted(set(names.values()))
    wrong = [name for name in files if Path(name).name != name or not (folder / name).is_file()]
    if wrong:
        raise CheckpointError(f"{folder / INDEX} names {wrong[:LISTED]}, which {folder} does not hold")
    return [folder / name for name in files]


def digest_weights(folder: Path) -> bytes:
    """Return the SHA-256 of the file of weights, or of the digests of several files."""
    digests = [_sha256(file) for file in weight_files(folder)]
    return digests[0] if len(digests) == 1 else hashlib.sha256(b"".join(digests)).digest()


def _sha256(file: Path) -> bytes:
    # By hand, because Python 3.10, that of Humble, has no hashlib.file_digest.
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while block := content.read(_READ_BYTES):
            digest.update(block)
    return digest.digest()
