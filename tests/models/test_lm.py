"""Supervised training: the weighted loss over segments against a plain loop, and what `scored` leaves out."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from optax.contrib import MuonDimensionNumbers

from traitrl_jax.config import ModelSpec
from traitrl_jax.models import lm
from traitrl_jax.models.transformer import Context, Decoder

VOCABULARY = 30
MODEL = Decoder(ModelSpec(width=16, layers=1, heads=2, head_dim=8, mlp=32), VOCABULARY)


@pytest.fixture(scope="module")
def params():
    return lm.init_params(MODEL, jax.random.key(0))


def batch(seed: int = 0):
    """Two ragged rows: a shared prompt and two replies, padding behind."""
    rng = np.random.default_rng(seed)
    segments = np.array([[0, 0, 0, 0, 1, 1, 1, 2, 2, -1, -1], [0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 2]], np.int32)
    tokens = rng.integers(1, VOCABULARY, segments.shape).astype(np.int32)
    weights = np.where(segments > 0, rng.uniform(0.5, 3.0, segments.shape), 0.05).astype(np.float32)
    weights[segments < 0] = 0.0
    weights[:, 1:][segments[:, 1:] != segments[:, :-1]] = 0.0  # a reply's first token is scored by nothing
    return tokens, weights, segments


def naive(params, tokens, weights, segments) -> tuple[float, float]:
    total = count = 0.0
    for row, weight, segment in zip(tokens, weights, segments, strict=True):
        for t in range(1, len(row)):
            seen = [i for i in range(t) if segment[i] in (0, segment[t])]
            if weight[t] == 0.0:
                continue
            ids = jnp.array(row[seen])[None]
            hidden, _ = MODEL.apply({"params": params}, ids, Context.of(jnp.ones(ids.shape, bool)))
            logits = MODEL.apply({"params": params}, hidden[0, -1:], 1.0, method="logits")[0]
            total -= weight[t] * float(jax.nn.log_softmax(logits)[row[t]])
            count += weight[t]
    return total, count


def test_the_loss_is_a_weighted_sum_over_what_each_segment_sees(params):
    np.testing.assert_allclose(lm.next_token_loss(MODEL, params, *batch()), naive(params, *batch()), rtol=1e-5)


def test_scored_keeps_the_positions_of_most_weight(params):
    tokens, weights, segments = batch()
    kept = np.sort(weights[:, 1:].ravel())[-10:]  # half of 20 positions
    few = np.where(np.isin(weights, kept), weights, 0.0).astype(np.float32)
    got = lm.next_token_loss(MODEL, params, tokens, weights, segments, 0.5)
    np.testing.assert_allclose(got, lm.next_token_loss(MODEL, params, tokens, few, segments), rtol=1e-5)
    np.testing.assert_allclose(got[1], kept.sum(), rtol=1e-6)


@pytest.mark.parametrize(("matrix_lr", "scored"), [(0.0, 1.0), (1e-2, 1.0), (1e-2, 0.7)])
def test_training_lowers_the_loss(params, matrix_lr, scored):
    optimizer = lm.make_optimizer(1e-2, 2, 20, matrix_lr)
    state = lm.LMState(params, optimizer.init(params), jnp.zeros((), jnp.int32))
    step = jax.jit(partial(lm.train_step, MODEL, optimizer, scored=scored))
    losses = []
    for _ in range(20):
        state, metrics = step(state, (batch(), batch(1)))
        losses.append(float(metrics["loss"]))
    assert losses[-1] < 0.6 * losses[0] and int(state.step) == 20


def test_muon_takes_matrices_and_adam_the_rest(params):
    axes = jax.tree.leaves(lm._matrices(params), is_leaf=lambda leaf: leaf is None or isinstance(leaf, MuonDimensionNumbers))
    for (path, leaf), chosen in zip(jax.tree_util.tree_leaves_with_path(params), axes, strict=True):
        assert (chosen is not None) == (leaf.ndim >= 2 and path[-1].key != "embedding")
        if chosen is not None:
            assert sorted((*chosen.reduction_axis, *chosen.output_axis)) == list(range(leaf.ndim))
