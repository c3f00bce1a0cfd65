"""A tiny random model, ragged prompts and awkward scores, shared by the tests of the glue.

Programs are compiled once a session, at XLA's lowest effort: they run for milliseconds.
"""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from traitrl_jax.config import ModelSpec, RLConfig
from traitrl_jax.models.adapt import init_trainable
from traitrl_jax.models.lm import init_params
from traitrl_jax.models.sampling import Replies, row_keys, sample
from traitrl_jax.models.transformer import Decoder
from traitrl_jax.rl.rollout import Rollout, make_rollout
from traitrl_jax.rl.update import TrainState, init_state, update
from traitrl_jax.text.chat import pad_left

WIDTH, VOCABULARY, FIRST_TEXT_ID = 16, 40, 9
SHAPES = ((6, 7, 6), (4, 11, 9))  # rows, prompt and reply slots of the two buckets
SCORES = ([0.7, -1.9, 0.73, float("nan"), 0.1, 0.7], [-1.9, 0.3, 0.7, -0.2])


class Tiny:
    """The model, its start parameters and compiled programs by configuration."""

    temperature = 0.9
    scores = SCORES

    def __init__(self, layers: int):
        spec = ModelSpec(width=WIDTH, layers=layers, heads=2, head_dim=8, mlp=32)
        self.model = Decoder(spec, VOCABULARY)
        self.params = self.jit(partial(init_params, self.model))(jax.random.key(0))
        self.sampler = self.jit(partial(sample, self.model), static_argnums=(5, 6))
        rng = np.random.default_rng(0)
        self.prompts = []
        for rows, longest, _ in SHAPES:
            lengths = [longest, 1, *rng.integers(1, longest + 1, rows - 2)]
            self.prompts.append([list(rng.integers(FIRST_TEXT_ID, VOCABULARY, n)) for n in lengths])

    @staticmethod
    def jit(function, **options):
        return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0}, **options)

    @cache  # noqa: B019 (one instance, one session)
    def step(self, config: RLConfig):
        """The compiled update of a configuration."""
        return self.jit(partial(update, self.model, config))

    def start(self, config: RLConfig) -> tuple[TrainState, object]:
        """(state before the first step, reference)."""
        reference = init_trainable(config.adapt, self.params, config, jax.random.key(2))
        return init_state(config, reference, self.params, WIDTH), reference

    def reply(
        self, bucket: int, params=None, prefix=None, temperature=temperature, seed=2
    ) -> tuple[jax.Array, jax.Array, Replies]:
        """(prompt, prompt_valid, replies) of a bucket."""
        rows, longest, room = SHAPES[bucket]
        tokens, valid = pad_left(self.prompts[bucket], longest)
        keys = row_keys(jax.random.key(seed), jnp.arange(rows) + 10 * bucket)
        return tokens, valid, self.sampler(params or self.params, prefix, tokens, valid, keys, room, temperature)

    def rollout(self, bucket: int, params=None, prefix=None, seed=2, score=None) -> Rollout:
        """A bucket of sampled replies; one of its rows has no score."""
        score = jnp.array(SCORES[bucket] if score is None else score)
        return make_rollout(*self.reply(bucket, params, prefix, seed=seed), score, 1.0, 0.0, 0.25)


@pytest.fixture(scope="session")
def tiny() -> Tiny:
    return Tiny(layers=1)


@pytest.fixture(scope="session")
def deep() -> Tiny:
    """Two layers: what the sampler's cache must carry."""
    return Tiny(layers=2)


@pytest.fixture(scope="session")
def rollouts(tiny) -> tuple[Rollout, ...]:
    """Two buckets sampled from the start model: ragged prompts, ragged replies, some cut off, one row without a score."""
    buckets = tuple(tiny.rollout(i) for i in range(len(SHAPES)))
    assert all(not b.prompt_valid.all() and 1 < len(set(b.mask.sum(axis=1).tolist())) for b in buckets)
    return buckets
