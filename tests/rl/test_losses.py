"""PPO's losses and diagnostics: against outside reference numbers, and what must always hold."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from traitrl_jax.rl import losses
from traitrl_jax.rl.advantages import gae, token_rewards, whiten

CASES = json.loads((Path(__file__).parents[1] / "oracles" / "golden.json").read_text())["ppo"]
IDS = ["plain", "discounted", "user-turns-inside"]
B, R = 3, 6
quick = settings(max_examples=60, deadline=None)
masks = st.lists(st.lists(st.booleans(), min_size=R, max_size=R), min_size=B, max_size=B).map(np.array)
seeds = st.integers(0, 2**32 - 1)


def rows(case, name):
    return jnp.array([row[name] for row in case["rows"]], jnp.float32)


def draw(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@jax.jit
def every_loss(logp_new, logp_old, logp_ref, advantages, values_new, values_old, returns, mask):
    """{name: (sum, count)} of all of them."""
    return {
        "policy_loss": losses.policy_loss(logp_new, logp_old, advantages, mask, 0.2),
        "value_loss": losses.value_loss(values_new, values_old, returns, mask, 0.2),
        "kl_loss": losses.kl_loss(logp_new, logp_ref, mask),
        "clip_fraction": losses.clip_fraction(logp_new, logp_old, mask, 0.2),
        "approx_kl": losses.approx_kl(logp_new, logp_old, mask),
        "sequence_kl": losses.sequence_kl(logp_old, logp_ref, mask),
    }


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_every_field_matches_the_oracle(case):
    """Checklist 3, 7, 8, 9, 11: losses and diagnostics of the three cases, from rows to numbers."""
    config, expect, mask = case["config"], case["expect"], rows(case, "mask")
    new, old, ref, v_new, v_old = (rows(case, n) for n in ("logp_new", "logp_old", "logp_ref", "value_new", "value_old"))
    rewards = token_rewards(rows(case, "score"), old, ref, mask, config["kl_beta"])
    advantage, returns = gae(rewards, v_old, mask, config["gamma"], config["lam"])
    white = whiten([advantage], [mask])[0]

    def share(total_and_count):
        return total_and_count[0] / total_and_count[1]

    got = {
        "policy_loss": losses.policy_loss(new, old, white, mask, config["clip"]),
        "value_loss": losses.value_loss(v_new, v_old, returns, mask, config["value_clip"]),
        "clip_fraction": share(losses.clip_fraction(new, old, mask, config["clip"])),
        "approx_kl_k3": share(losses.approx_kl(new, old, mask)),
        "sequence_kl_k1": share(losses.sequence_kl(old, ref, mask)),
        "explained_variance": losses.explained_variance([v_old], [returns], [mask]),
    }
    for name, value in got.items():
        np.testing.assert_allclose(value, expect[name], rtol=1e-5, atol=1e-5, err_msg=name)


@quick
@given(masks, seeds)
def test_sums_of_parts_are_the_sum_of_the_whole(mask, seed):
    """Checklist 11: sums and counts of minibatches (here: each row alone, the others masked out) add up to the batch's."""
    arrays = draw(seed, 7, B, R)
    whole = every_loss(*arrays, mask)
    parts = [every_loss(*arrays, np.where(np.arange(B)[:, None] == b, mask, False)) for b in range(B)]
    for name, (total, count) in whole.items():
        np.testing.assert_allclose(total, sum(p[name][0] for p in parts), rtol=1e-4, atol=1e-4, err_msg=name)
        if name != "sequence_kl":  # its count is rows, masked out or not
            assert count == sum(p[name][1] for p in parts) == mask.sum()


@quick
@given(masks, seeds, st.sampled_from([1e9, -1e9, np.nan, np.inf]))
def test_padding_never_matters(mask, seed, junk):
    """Checklist 1: what stands outside the mask, slots or whole columns, changes no loss."""
    arrays = draw(seed, 7, B, R)
    clean = every_loss(*arrays, mask)
    filled = every_loss(*np.where(mask, arrays, junk), mask)
    wide = every_loss(*np.pad(arrays, ((0, 0), (0, 0), (1, 2)), constant_values=junk), np.pad(mask, ((0, 0), (1, 2))))
    for name in clean:
        np.testing.assert_allclose(filled[name], clean[name], rtol=1e-4, atol=1e-4, err_msg=name)
        np.testing.assert_allclose(wide[name], clean[name], rtol=1e-4, atol=1e-4, err_msg=name)


@quick
@given(masks, seeds)
def test_no_gradient_reaches_what_is_masked_out(mask, seed):
    """Checklist 1: the gradient at padding is exactly 0, however far apart old and new (finite) stand there."""
    new, old, ref, a, v_new, v_old, returns = np.where(mask, draw(seed, 7, B, R), 1e4 * draw(seed + 1, 7, B, R))
    g_logp, g_value = gradients(new, v_new, old, ref, a, v_old, returns, mask)
    for gradient in (g_logp, g_value):
        assert np.isfinite(gradient).all() and not np.any(np.array(gradient)[~mask])


@jax.jit
def gradients(new, v_new, old, ref, a, v_old, returns, mask):
    def total(new, v_new):
        parts = every_loss(new, old, ref, a, v_new, v_old, returns, mask)
        return sum(parts[name][0] for name in ("policy_loss", "value_loss", "kl_loss"))

    return jax.grad(total, (0, 1))(new, v_new)


@quick
@given(masks, seeds)
def test_at_unchanged_weights_ppo_is_the_policy_gradient(mask, seed):
    """Checklist 6: new = old: loss -sum A, gradient -A at every token, clip fraction and KL exactly 0."""
    logp, a = draw(seed, 2, B, R)
    loss, gradient = jax.value_and_grad(lambda new: losses.policy_loss(new, logp, a, mask, 0.2)[0])(logp)
    np.testing.assert_allclose(loss, -np.sum(a[mask]), atol=1e-5)
    np.testing.assert_allclose(gradient, np.where(mask, -a, 0), atol=1e-6)
    assert losses.clip_fraction(logp, logp, mask, 0.2)[0] == 0 == losses.approx_kl(logp, logp, mask)[0]


@pytest.mark.parametrize(
    ("log_ratio", "advantage", "moves"),
    [(0.3, 1.0, False), (0.3, -1.0, True), (-0.3, 1.0, True), (-0.3, -1.0, False), (0.1, 1.0, True), (-0.1, -1.0, True)],
)
def test_the_clip_stops_only_moves_that_went_far_enough(log_ratio, advantage, moves):
    """Outside [.8, 1.2] a token has no gradient if its advantage pushes it further out, and the full one if back in."""
    old, a, mask = jnp.array([[-1.0]]), jnp.array([[advantage]]), jnp.array([[True]])
    gradient = jax.grad(lambda new: losses.policy_loss(new, old, a, mask, 0.2)[0])(old + log_ratio)
    np.testing.assert_allclose(gradient, [[-advantage * np.exp(log_ratio) * moves]], atol=1e-6)


@quick
@given(masks, seeds)
def test_clipping_is_pessimistic(mask, seed):
    """Neither clipped loss is below its unclipped one; the k3 estimate is never negative."""
    new, old, a, v_new, v_old, returns = draw(seed, 6, B, R)
    plain = np.sum((-a * np.exp(new - old))[mask])
    assert losses.policy_loss(new, old, a, mask, 0.2)[0] >= plain - 1e-3
    assert losses.value_loss(v_new, v_old, returns, mask, 0.2)[0] >= np.sum(0.5 * ((v_new - returns) ** 2)[mask]) - 1e-3
    assert losses.approx_kl(new, old, mask)[0] >= -1e-5


def test_ratios_that_explode_stay_finite():
    """Checklist 8: log-ratios are clamped before exp, in the ratio and in the KL."""
    mask = jnp.ones((1, 2), bool)
    new, old = jnp.array([[0.0, -1e4]]), jnp.array([[-1e4, 0.0]])
    np.testing.assert_allclose(losses.ratio(new, old), [[np.exp(20), np.exp(-20)]], rtol=1e-5)
    for value in (losses.policy_loss(new, old, -jnp.ones((1, 2)), mask, 0.2), losses.approx_kl(new, old, mask)):
        assert np.isfinite(value).all()


def test_the_k2_loss_has_the_gradient_of_the_kl():
    """Checklist 8: averaged over the policy's own tokens, the gradient of k2 is that of KL(policy || reference)."""
    logits, reference = jnp.array(draw(1, 5)), jax.nn.log_softmax(jnp.array(draw(2, 5)))

    def kl(x):
        logp = jax.nn.log_softmax(x)
        return jnp.sum(jnp.exp(logp) * (logp - reference))

    def sampled(x):  # every token as often as the policy says it
        logp = jax.nn.log_softmax(x)
        share = jax.lax.stop_gradient(jnp.exp(logp))
        one = jnp.ones((1, 1), bool)
        return sum(share[i] * losses.kl_loss(logp[i][None, None], reference[i][None, None], one)[0] for i in range(5))

    np.testing.assert_allclose(jax.grad(sampled)(logits), jax.grad(kl)(logits), atol=1e-6)


def test_explained_variance_of_known_predictors():
    """Checklist 9: perfect values 1, a constant 0, doubled and negated -8; all buckets together; no variance: 0."""
    returns, mask = [jnp.array([[1.0, -2.0]]), jnp.array([[0.7], [-1.9]])], [jnp.ones((1, 2), bool), jnp.ones((2, 1), bool)]
    for factor, expect in ((1.0, 1.0), (0.0, 0.0), (-2.0, -8.0)):
        values = [factor * r + 0.3 for r in returns]
        np.testing.assert_allclose(losses.explained_variance(values, returns, mask), expect, atol=1e-5)
    flat = [jnp.full_like(r, 0.7) for r in returns]
    assert losses.explained_variance(returns, flat, mask) == 0


def test_no_tokens_no_loss():
    """A batch without tokens gives sums and counts of 0, so that the caller's division is its own affair."""
    for name, value in every_loss(*np.full((7, B, R), np.nan, np.float32), np.zeros((B, R), bool)).items():
        np.testing.assert_array_equal(value, (0, B if name == "sequence_kl" else 0), err_msg=name)
