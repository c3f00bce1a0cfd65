"""A tiny tokenizer, trained once a session."""

import pytest

from traitrl_jax.text.tokenizer import Tokenizer, train_tokenizer

WORDS = (
    "the plan user system assistant answer thought end says we can check it before we send nothing is hidden <b> pad".split()
)


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory) -> Tokenizer:
    """Its text holds angle brackets and role names, so that a control token's letters are ordinary, frequent text."""
    lines = [" ".join(WORDS[(i * k) % len(WORDS)] for k in range(1, 9)) for i in range(200)]
    return train_tokenizer(lines, 360, tmp_path_factory.mktemp("tokenizer") / "tokenizer.model")
