"""Rubric scores against outside reference numbers, and what must not change them."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from traitrl_jax.config import UserError
from traitrl_jax.reward.rubric import healthbench_score, rubric_score

CASES = json.loads((Path(__file__).parents[1] / "oracles" / "golden.json").read_text())["rubric"]
K = 6
score = jax.jit(rubric_score)
quick = settings(max_examples=60, deadline=None)
points = st.lists(st.integers(-5, 5), min_size=K, max_size=K).filter(lambda p: max(p) > 0)
verdicts = st.lists(st.floats(0, 1, width=32), min_size=K, max_size=K)


def test_the_oracle_in_one_padded_batch():
    """Rubrics of unequal length share a batch: absent criteria have 0 points, whatever stands there."""
    p = np.full((len(CASES), K), np.nan, np.float32)
    w = np.zeros((len(CASES), K), np.float32)
    for row, case in enumerate(CASES):
        p[row, : len(case["points"])] = case["p_met"]
        w[row, : len(case["points"])] = case["points"]
    np.testing.assert_allclose(score(p, w), [case["score"] for case in CASES], atol=1e-5)


@pytest.mark.parametrize("case", CASES, ids=lambda c: str(c["points"]))
def test_healthbench_matches_the_oracle(case):
    assert case["met"] == [p > 0.5 for p in case["p_met"]]
    assert healthbench_score(case["met"], case["points"]) == pytest.approx(case["healthbench"], abs=1e-12)


@quick
@given(verdicts, points)
def test_hard_verdicts_give_the_healthbench_score(p, w):
    met = [x > 0.5 for x in p]
    assert float(score(jnp.array([met], jnp.float32), jnp.array([w]))[0]) == pytest.approx(healthbench_score(met, w), abs=1e-5)


@quick
@given(verdicts, points, st.permutations(range(K)))
def test_the_order_of_lines_does_not_matter(p, w, order):
    p, w, order = jnp.array([p]), jnp.array([w]), np.array(order)
    np.testing.assert_allclose(score(p, w), score(p[:, order], w[:, order]), atol=1e-5)


@quick
@given(verdicts, points, st.integers(1, 9))
def test_the_unit_of_points_does_not_matter_and_the_best_reply_scores_one(p, w, unit):
    w = jnp.array([w])
    np.testing.assert_allclose(score(jnp.array([p]), w), score(jnp.array([p]), unit * w), atol=1e-5)
    np.testing.assert_allclose(score((w > 0).astype(jnp.float32), w), [1.0], atol=1e-6)


def test_small_integers_do_not_truncate():
    """Integer points times graded verdicts: .73 stays .73."""
    np.testing.assert_allclose(score(jnp.array([[0.73, 0.0]]), jnp.array([[1, -1]], jnp.int32)), [0.73], atol=1e-6)


def test_a_failed_verdict_is_nan_in_its_row_alone():
    """Checklist 13: failure is never 0 and never "unmet"; a criterion that is not there cannot fail."""
    p = jnp.array([[0.5, jnp.nan], [0.5, jnp.nan], [0.5, 0.5]])
    w = jnp.array([[2.0, 1.0], [2.0, 0.0], [2.0, 1.0]])
    np.testing.assert_allclose(score(p, w), [np.nan, 0.5, 0.5], atol=1e-6)


@pytest.mark.parametrize("w", [[-1.0, -2.0], [0.0], []])
def test_a_rubric_without_positive_points_is_refused(w):
    with pytest.raises(UserError, match="positive points"):
        healthbench_score([True] * len(w), w)
