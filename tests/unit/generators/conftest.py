from __future__ import annotations

from typing import Any

import pytest
import tiny_pipelines


@pytest.fixture
def stable_diffusion() -> Any:
    return tiny_pipelines.stable_diffusion()


@pytest.fixture
def stable_diffusion_xl() -> Any:
    return tiny_pipelines.stable_diffusion_xl()


@pytest.fixture
def flux() -> Any:
    return tiny_pipelines.flux()
