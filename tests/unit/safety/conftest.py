from __future__ import annotations

import pytest

from countermark.safety import ImageEnsemble, PromptEnsemble


@pytest.fixture(scope="session")
def prompts() -> PromptEnsemble:
    """The shipped prompt stage, real weights and all."""
    return PromptEnsemble(verify=True)


@pytest.fixture(scope="session")
def images() -> ImageEnsemble:
    """The shipped image stage, real weights and all."""
    return ImageEnsemble(verify=True)
