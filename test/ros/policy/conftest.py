from __future__ import annotations

from pathlib import Path

import pytest

from support.checkpoints import tiny_checkpoint


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tiny policy's folder."""
    return tiny_checkpoint(tmp_path_factory.mktemp("checkpoint"))
