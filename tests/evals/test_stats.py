"""Statistics against outside reference numbers, and the interval's coverage by simulation."""

import json
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from traitrl_jax.config import UserError
from traitrl_jax.evals.stats import benjamini_hochberg, bootstrap_p, paired_bootstrap, refuse_to_mix, sign_test, spearman

GOLDEN = json.loads((Path(__file__).parents[1] / "oracles" / "golden.json").read_text())["statistics"]
quick = settings(max_examples=50, deadline=None)
differences = st.lists(st.floats(-1, 1), min_size=4, max_size=12).map(np.array)


def test_q_values_match_the_oracle():
    np.testing.assert_allclose(benjamini_hochberg(GOLDEN["p_values"]), GOLDEN["bh_q"], atol=1e-12)


@pytest.mark.parametrize("case", GOLDEN["sign_test"], ids=lambda c: f"{c['k']}-of-{c['n']}")
def test_sign_test_matches_the_oracle(case):
    assert sign_test(case["k"], case["n"]) == pytest.approx(case["p"], rel=1e-9)


def test_spearman_matches_the_oracle():
    assert spearman(GOLDEN["spearman"]["x"], GOLDEN["spearman"]["y"]) == pytest.approx(GOLDEN["spearman"]["rho"], abs=1e-12)


def test_statistics_without_evidence_say_so():
    assert sign_test(0, 0) == 1.0
    assert np.isnan(spearman([1, 1, 1], [1, 2, 3])) and np.isnan(spearman([], []))
    assert benjamini_hochberg([]).shape == (0,)
    np.testing.assert_array_equal(benjamini_hochberg([0.01, np.nan, 0.04]), [0.02, np.nan, 0.04])
    assert np.isnan(paired_bootstrap([], [])).all()
    mean, low, high = paired_bootstrap([0.2, 0.4], ["twin", "twin"])
    assert mean == pytest.approx(0.3) and np.isnan([low, high, bootstrap_p([0.2, 0.4], ["twin", "twin"])]).all()


def naive_means(difference, clusters, samples, seed):
    """The bootstrap as a plain loop over its own draws: members of each drawn cluster, listed and averaged."""
    names = sorted(set(clusters))
    draws = np.random.default_rng(seed).integers(0, len(names), (samples, len(names)), dtype=np.int32)
    pools = [[d for d, c in zip(difference, clusters, strict=True) if c == name] for name in names]
    return [np.mean(np.concatenate([pools[g] for g in row])) for row in draws]


@quick
@given(differences, st.integers(0, 99))
def test_the_bootstrap_is_the_naive_loop(difference, seed):
    clusters = [f"scenario/{i // 2}" for i in range(len(difference))]
    means = naive_means(difference, clusters, 40, seed)
    mean, low, high = paired_bootstrap(difference, clusters, 40, seed)
    np.testing.assert_allclose((mean, low, high), (difference.mean(), *np.quantile(means, (0.025, 0.975))), atol=1e-12)
    smaller = min(sum(m <= 1e-12 for m in means), sum(m >= -1e-12 for m in means))
    assert bootstrap_p(difference, clusters, 40, seed) == pytest.approx(min(1, 2 * (smaller + 1) / 41))


@quick
@given(differences, st.integers(0, 99))
def test_swapping_the_subjects_mirrors_the_interval_and_keeps_p(difference, seed):
    clusters = range(len(difference))
    mean, low, high = paired_bootstrap(difference, clusters, 200, seed)
    np.testing.assert_allclose(paired_bootstrap(-difference, clusters, 200, seed), (-mean, -high, -low), atol=1e-12)
    assert bootstrap_p(-difference, clusters, 200, seed) == bootstrap_p(difference, clusters, 200, seed)


@quick
@given(differences.filter(lambda d: np.ptp(d) > 1e-6), st.integers(0, 99))
def test_p_and_interval_agree(difference, seed):
    """p < .05 where the interval leaves out 0, but for the quantile's interpolation between two neighbours."""
    clusters = range(len(difference))
    _, low, high = paired_bootstrap(difference, clusters, 1999, seed)
    p = bootstrap_p(difference, clusters, 1999, seed)
    if low > 1e-6 or high < -1e-6:
        assert p <= 0.052
    elif low < -1e-6 and high > 1e-6:
        assert p >= 0.048


def simulate(rng):
    """(difference, clusters): 40 scenarios of 1-4 items that share a true effect; the mean over scenarios is 0."""
    sizes = rng.integers(1, 5, 40)
    clusters = np.repeat(np.arange(40), sizes)
    return rng.normal(0, 0.3, 40)[clusters] + rng.normal(0, 0.2, len(clusters)), clusters


def test_the_interval_covers_the_truth_95_percent_of_the_time():
    """300 simulated studies; an interval that ignores the clusters covers clearly less often."""
    rng = np.random.default_rng(7)
    covered, ignoring, significant = 0, 0, 0
    for repeat in range(300):
        difference, clusters = simulate(rng)
        _, low, high = paired_bootstrap(difference, clusters, 400, repeat)
        covered += low <= 0 <= high
        significant += bootstrap_p(difference, clusters, 400, repeat) < 0.05
        _, low, high = paired_bootstrap(difference, np.arange(len(difference)), 400, repeat)
        ignoring += low <= 0 <= high
    assert 0.90 <= covered / 300 <= 0.98
    assert ignoring < covered - 15
    assert significant / 300 <= 0.10  # the other side of coverage: false alarms


def test_p_is_never_zero_and_ties_are_no_evidence():
    assert bootstrap_p(np.full(50, 0.5), range(50), 1999) == pytest.approx(2 / 2000)
    assert bootstrap_p(np.zeros(50), range(50)) == 1.0
    assert bootstrap_p(np.array([0.1 + 0.2, -0.3] * 20), [i // 2 for i in range(40)]) == 1.0  # zero up to rounding


def test_big_and_fast():
    difference = np.random.default_rng(0).normal(0.02, 1, 5000)
    began = time.perf_counter()
    mean, low, high = paired_bootstrap(difference, [f"item/{i}" for i in range(5000)], 2000)
    assert time.perf_counter() - began < 2  # about .15 s on an idle core
    half = 1.96 * difference.std() / 5000**0.5
    np.testing.assert_allclose((low, high), (mean - half, mean + half), atol=0.003)


def test_same_seed_same_interval_whatever_the_order_of_items():
    difference, clusters = simulate(np.random.default_rng(3))
    order = np.random.default_rng(4).permutation(len(difference))
    first, again = paired_bootstrap(difference, clusters), paired_bootstrap(difference[order], clusters[order])
    np.testing.assert_allclose(first, again, atol=1e-12)
    assert paired_bootstrap(difference, clusters, seed=1) != first


def test_differences_that_are_no_numbers_are_refused():
    with pytest.raises(UserError, match=r"1 of 3 .*item 1.*leave items without a score out"):
        paired_bootstrap([0.1, float("nan"), 0.2], [0, 1, 2])
    with pytest.raises(UserError, match="3 items have 2 cluster ids"):
        bootstrap_p([0.1, 0.3, 0.2], [0, 1])


def test_protocols_are_not_mixed():
    refuse_to_mix({})
    refuse_to_mix({"start": "a1", "baseline-s0": "a1"})
    with pytest.raises(UserError, match=r"2 eval protocols .*a1: start, s0, s1 and 1 more; b2: trait.*measure all") as error:
        refuse_to_mix({"start": "a1", "s0": "a1", "s1": "a1", "s2": "a1", "trait": "b2"})
    assert "\n" not in str(error.value)
