"""The sampler: draws follow the distribution, records say what was drawn, and a row is its own key's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from traitrl_jax.models.sampling import draw, row_keys
from traitrl_jax.models.transformer import Context

ROOM = 9


@pytest.fixture(scope="module")
def teacher(deep):
    """teacher(tokens, valid) -> log-probabilities of what follows every slot at temperature .7: whole rows, no cache."""

    def run(tokens, valid):
        hidden, _ = deep.model.apply({"params": deep.params}, tokens, Context.of(valid))
        return jax.nn.log_softmax(deep.model.apply({"params": deep.params}, hidden, method="logits") / 0.7)

    program = deep.jit(run)
    return lambda tokens, valid: np.asarray(program(tokens, valid))


@pytest.mark.parametrize("vocabulary", [7, 32, 100])
def test_draws_invert_the_distribution_function(vocabulary):
    """Uniform numbers on a fine grid give every token its probability, in order; blocks need not divide the vocabulary."""
    count = 20_000
    logits = 3 * jax.random.normal(jax.random.key(0), (vocabulary,))
    uniform = (jnp.arange(count) + 0.5) / count
    token, logp = jax.jit(draw)(jnp.broadcast_to(logits, (count, vocabulary)), uniform)
    assert (np.diff(token) >= 0).all()
    share = np.bincount(token, minlength=vocabulary) / count
    np.testing.assert_allclose(share, jax.nn.softmax(logits), atol=2 / count)
    np.testing.assert_allclose(logp, jax.nn.log_softmax(logits)[token], atol=1e-5)


def test_draws_at_the_edges_stay_possible():
    """0 and the largest float below 1 give the first and the last token that can occur; log-probabilities are finite."""
    logits = jnp.full((2, 70), -200.0).at[:, 3].set(0.0).at[:, 40].set(1.0)
    token, logp = draw(logits, jnp.array([0.0, 1 - 2.0**-24]))
    assert token.tolist() == [3, 40] and jnp.isfinite(logp).all()


def test_sampled_tokens_have_the_models_frequencies(deep, teacher):
    """First tokens after one prompt, 4,000 rows: within five standard errors of the softmax at the temperature."""
    prompt = jnp.array([deep.prompts[0][0]])
    tokens = jnp.repeat(prompt, 4000, axis=0)
    keys = row_keys(jax.random.key(3), jnp.arange(4000))
    first = deep.sampler(deep.params, None, tokens, jnp.ones_like(tokens, bool), keys, 1, 0.7).tokens[:, 0]
    p = np.exp(teacher(prompt, jnp.ones_like(prompt, bool))[0, -1])
    share = np.bincount(first, minlength=len(p)) / 4000
    assert (np.abs(share - p) < 5 * np.sqrt(p * (1 - p) / 4000) + 1e-3).all()


def test_recorded_logprobs_are_the_models_at_the_temperature(deep, teacher):
    """Recomputed in whole rows, without cache, for every sampled token at temperature .7."""
    tokens, valid, replies = deep.reply(0, temperature=0.7)
    joined = jnp.concatenate([tokens, replies.tokens], axis=1)
    real = jnp.concatenate([valid, replies.mask], axis=1)
    logp = np.take_along_axis(teacher(joined, real)[:, tokens.shape[1] - 1 : -1], np.asarray(replies.tokens)[..., None], axis=2)
    np.testing.assert_allclose(replies.logprobs, np.where(replies.mask, logp[..., 0], 0.0), atol=1e-5)
    assert int(replies.mask.sum()) > 6


@pytest.mark.parametrize("temperature", [0.7, 0])
def test_a_row_does_not_depend_on_its_batch(deep, temperature):
    """The same row ids in another order and company give the same replies; at temperature 0 whatever the keys."""
    tokens, valid, replies = deep.reply(1, temperature=temperature)
    order = jnp.array([2, 0, 3, 0])
    ids = order + 10 if temperature else jnp.arange(4) + 77
    keys = row_keys(jax.random.key(2), ids)
    again = deep.sampler(deep.params, None, tokens[order], valid[order], keys, ROOM, temperature)
    for name in ("tokens", "length", "ended"):
        np.testing.assert_array_equal(getattr(again, name), getattr(replies, name)[order])
    np.testing.assert_allclose(again.logprobs, replies.logprobs[order], atol=1e-6)


def test_rows_and_keys_draw_apart(deep):
    """Equal prompts under different row ids, and the same id under another seed, give different replies."""
    tokens = jnp.repeat(jnp.array([deep.prompts[1][0]]), 4, axis=0)
    valid = jnp.ones_like(tokens, bool)
    ids = jnp.array([0, 1, 2, 3])
    found = [deep.sampler(deep.params, None, tokens, valid, row_keys(jax.random.key(k), ids), ROOM, 0.9, -1) for k in (2, 3)]
    replies = {tuple(row.tolist()) for each in found for row in each.tokens}
    assert len(replies) == 8


def test_without_a_stop_token_every_reply_is_full(deep):
    tokens, valid, _ = deep.reply(1)
    replies = deep.sampler(deep.params, None, tokens, valid, row_keys(jax.random.key(2), jnp.arange(4)), ROOM, 0.7, -1)
    assert replies.length.tolist() == [ROOM] * 4 and not replies.ended.any() and replies.mask.all()
    assert (replies.logprobs < 0).all()


def test_a_batch_stops_when_all_its_rows_have(deep):
    """Behind the longest reply nothing is written, and what is written does not depend on the room."""
    tokens, valid, replies = deep.reply(1, temperature=0)
    stop = int(replies.tokens[0, 0])
    keys = row_keys(jax.random.key(2), jnp.arange(1))
    short = deep.sampler(deep.params, None, tokens[:1], valid[:1], keys, ROOM, 0, stop)
    assert short.length.tolist() == [1] and short.ended.all() and short.tokens[0].tolist() == [stop] + [0] * (ROOM - 1)
