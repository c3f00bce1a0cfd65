"""Token rewards, GAE and whitening: against outside reference numbers, and what must never change them."""

import json
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from traitrl_jax.rl.advantages import gae, masked_moments, token_rewards, whiten

CASES = json.loads((Path(__file__).parents[1] / "oracles" / "golden.json").read_text())["ppo"]
B, R = 3, 6
quick = settings(max_examples=60, deadline=None)
masks = st.lists(st.lists(st.booleans(), min_size=R, max_size=R), min_size=B, max_size=B).map(np.array)
seeds = st.integers(0, 2**32 - 1)
rewards_of = jax.jit(token_rewards)
gae_of = jax.jit(gae)
whiten_of = jax.jit(whiten)


def rows(case, name):
    return jnp.array([row[name] for row in case["rows"]], jnp.float32)


def draw(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def advantages(score, logp_old, logp_ref, values, mask, kl_beta=0.05, gamma=0.97, lam=0.9):
    """(rewards, advantages, returns, whitened advantages) as `rl.update.prepare` chains them."""
    rewards = rewards_of(score, logp_old, logp_ref, mask, kl_beta)
    advantage, returns = gae_of(rewards, values, mask, gamma, lam)
    return rewards, advantage, returns, whiten_of([advantage], [mask])[0]


@pytest.mark.parametrize("case", CASES, ids=["plain", "discounted", "user-turns-inside"])
def test_every_field_matches_the_oracle(case):
    """Checklist 2, 3, 8. Case 2 has user turns inside replies; row 0 of every case has no token."""
    config, mask = case["config"], rows(case, "mask")
    got = advantages(
        rows(case, "score"), rows(case, "logp_old"), rows(case, "logp_ref"), rows(case, "value_old"), mask,
        config["kl_beta"], config["gamma"], config["lam"],
    )  # fmt: skip
    for name, values in zip(("token_rewards", "advantages", "returns", "whitened"), got, strict=True):
        inside = np.array(mask, bool)
        expect = np.array([[0 if x is None else x for x in row] for row in case["expect"][name]])
        np.testing.assert_allclose(np.where(inside, values, 0), np.where(inside, expect, 0), atol=1e-5, err_msg=name)
        assert not np.any(np.where(inside, 0, values)), name  # zero outside the mask


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.int32], ids=["float32", "bfloat16", "int32"])
def test_a_final_score_is_every_tokens_return(dtype):
    """Checklist 2: score .73, V = 0, gamma = lambda = 1, KL 0: every return is .73, in whatever dtype the other arrays are."""
    mask = jnp.array([[1, 1, 1, 0], [1, 0, 0, 0], [0, 1, 0, 1]], jnp.int32)
    zeros = jnp.zeros(mask.shape, dtype)
    rewards, advantage, returns, _ = advantages(jnp.full(3, 0.73), zeros, zeros, zeros, mask, 0.0, 1.0, 1.0)
    np.testing.assert_allclose(rewards, [[0, 0, 0.73, 0], [0.73, 0, 0, 0], [0, 0, 0, 0.73]], atol=1e-7)
    np.testing.assert_allclose(returns, 0.73 * mask, atol=1e-7)
    np.testing.assert_allclose(advantage, 0.73 * mask, atol=1e-7)
    assert rewards.dtype == advantage.dtype == returns.dtype == jnp.float32


def naive_gae(rewards, values, mask, gamma, lam):
    """Each row's own tokens as a short list of their own: no masks left to get wrong."""
    out = np.zeros_like(rewards, dtype=np.float64)
    for b in range(len(mask)):
        own = np.flatnonzero(mask[b])
        r, v = [float(x) for x in rewards[b, own]], [float(x) for x in values[b, own]] + [0.0]
        delta = [r[t] + gamma * v[t + 1] - v[t] for t in range(len(own))]
        for t, slot in enumerate(own):
            out[b, slot] = sum((gamma * lam) ** k * d for k, d in enumerate(delta[t:]))
    return out


@quick
@given(masks, seeds, st.floats(0.5, 1), st.floats(0, 1))
def test_gae_is_the_discounted_sum_of_deltas(mask, seed, gamma, lam):
    """Checklist 3, 4: any mask, empty rows included; after the last token the value is 0."""
    rewards, values = draw(seed, 2, B, R)
    advantage, returns = gae_of(rewards, values, mask, gamma, lam)
    expect = naive_gae(rewards, values, mask, gamma, lam)
    np.testing.assert_allclose(advantage, expect, atol=1e-5)
    np.testing.assert_allclose(returns, np.where(mask, expect + values, 0), atol=1e-5)


@quick
@given(masks, seeds)
def test_interleaved_user_turns_cost_nothing(mask, seed):
    """Checklist 3: masked-out slots inside a reply change no token's numbers: closing the gaps gives the same."""
    logp_old, logp_ref, values = draw(seed, 3, B, R)
    score = draw(seed + 1, B)
    order = np.argsort(~mask, axis=1, kind="stable")  # own tokens first, in their order
    together = [np.take_along_axis(a, order, axis=1) for a in (logp_old, logp_ref, values, mask)]
    for gaps, closed in zip(advantages(score, logp_old, logp_ref, values, mask), advantages(score, *together), strict=True):
        np.testing.assert_allclose(np.take_along_axis(np.array(gaps), order, axis=1), closed, atol=1e-5)


@quick
@given(masks, seeds, st.sampled_from([1e30, -7.5, np.nan, np.inf]))
def test_padding_never_matters(mask, seed, junk):
    """Checklist 1: columns outside the mask, at either end and with anything in them, change nothing and stay zero."""
    arrays = list(draw(seed, 3, B, R))
    score = draw(seed + 1, B)
    wide = [np.pad(a, ((0, 0), (2, 3)), constant_values=junk) for a in arrays]
    clean = advantages(score, *arrays, mask)
    dirty = advantages(score, *wide, np.pad(mask, ((0, 0), (2, 3))))
    inside = [np.where(mask, a, junk) for a in arrays]
    for want, padded, filled in zip(clean, dirty, advantages(score, *inside, mask), strict=True):
        np.testing.assert_allclose(padded[:, 2:-3], want, atol=1e-5)
        np.testing.assert_allclose(filled, want, atol=1e-5)
        assert not np.any(padded[:, :2]) and not np.any(padded[:, -3:])


@quick
@given(masks, seeds)
def test_the_score_lands_once_on_the_last_own_token(mask, seed):
    """Checklist 2: with KL 0 a row's one reward is its score, at its last own token; a row without tokens earns nothing."""
    logp_old, logp_ref = draw(seed, 2, B, R)
    score = draw(seed + 1, B)
    rewards = np.array(rewards_of(score, logp_old, logp_ref, mask, 0.0))
    for b in range(B):
        own = np.flatnonzero(mask[b])
        expect = np.zeros(R)
        expect[own[-1:]] = score[b]
        np.testing.assert_array_equal(rewards[b], expect.astype(np.float32))


@quick
@given(masks, seeds)
def test_lambda_one_returns_are_the_rewards_to_come(mask, seed):
    """Checklist 3: gamma = lambda = 1: whatever the values say, the return is the sum of the rewards to come."""
    rewards, values = draw(seed, 2, B, R)
    rewards = np.where(mask, rewards, 0)
    _, returns = gae_of(rewards, values, mask, 1.0, 1.0)
    to_come = np.cumsum(rewards[:, ::-1], axis=1)[:, ::-1]
    np.testing.assert_allclose(returns, np.where(mask, to_come, 0), atol=2e-5)


def test_masks_of_any_dtype_are_one_thing():
    """Checklist 1: integers, floats and booleans alike."""
    mask = np.array([[1, 0, 1, 1], [0, 0, 0, 0]])
    logp_old, logp_ref, values = draw(3, 3, 2, 4)
    results = [advantages(draw(4, 2), logp_old, logp_ref, values, mask.astype(kind)) for kind in (bool, np.int32, np.float32)]
    for other in results[1:]:
        jax.tree.map(np.testing.assert_array_equal, results[0], other)


@quick
@given(masks.filter(lambda m: m.sum() > 2), seeds)
def test_whitening_of_buckets_is_whitening_of_all_tokens(mask, seed):
    """Checklist 3, 11: buckets of different widths share one mean and one variance, those of their tokens end to end."""
    first, second = draw(seed, B, R) + 3, 5 * draw(seed + 1, B, R)[:, :4]
    other = mask[:, :4]
    tokens = np.concatenate([first[mask], second[other]]).astype(np.float64)
    expect = (tokens - tokens.mean()) / np.sqrt(tokens.var() + 1e-8)
    white = whiten_of([first, second], [mask, other])
    got = np.concatenate([np.array(white[0])[mask], np.array(white[1])[other]])
    np.testing.assert_allclose(got, expect, atol=2e-4)
    assert not np.any(np.array(white[0])[~mask]) and not np.any(np.array(white[1])[~other])


@quick
@given(seeds, st.floats(0.1, 10), st.floats(-5, 5))
def test_whitening_forgets_scale_and_shift(seed, scale, shift):
    """Checklist 10: a fixed affine map of all advantages changes nothing after whitening; mean 0, variance 1."""
    a, mask = draw(seed, B, R), np.ones((B, R), bool)
    white = whiten_of([a], [mask])[0]
    np.testing.assert_allclose(whiten_of([scale * a + shift], [mask])[0], white, atol=1e-3)
    mean, variance = masked_moments([white], [mask])
    np.testing.assert_allclose((mean, variance), (0, 1), atol=1e-4)


def test_nothing_to_whiten_is_no_nan():
    """Checklist 12, 13: a batch without tokens, or with one advantage for all (dead rewards), gives zeros."""
    empty, full = np.zeros((2, 3), bool), np.ones((2, 3), bool)
    for a, mask in ((np.full((2, 3), np.nan), empty), (np.full((2, 3), 0.7), full)):
        np.testing.assert_allclose(whiten_of([jnp.array(a, jnp.float32)], [mask])[0], np.zeros((2, 3)), atol=1e-2)


def test_rows_that_failed_leave_the_rest_as_it_was():
    """Checklist 13: a row masked out because its score is NaN is as if it were not there."""
    logp_old, logp_ref, values = draw(8, 3, B, R)
    mask = np.ones((B, R), bool)
    mask[1] = False
    score = np.array([0.7, np.nan, -1.9], np.float32)
    keep = partial(np.delete, obj=1, axis=0)
    for whole, without in zip(
        advantages(score, logp_old, logp_ref, values, mask),
        advantages(*map(keep, (score, logp_old, logp_ref, values, mask))),
        strict=True,
    ):
        np.testing.assert_allclose(keep(np.array(whole)), without, atol=1e-5)
        assert not np.any(np.array(whole)[1])
