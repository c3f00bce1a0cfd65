"""Statistics of paired comparisons: what changed between two subjects on the same items, and how sure that is.

Items made from one scenario (twins, seeds) are no independent evidence, so intervals resample clusters, not items.

Shapes: N items, G clusters, M tests.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Float
from scipy import stats

from traitrl_jax.config import UserError

_DRAWS = 1 << 20  # cluster draws held at once
_ZERO = 1e-12  # a resampled mean this near 0 is 0: sums of scores such as .1 + .2 - .3 are not exact


def _resampled_means(difference: np.ndarray, clusters: Sequence, samples: int, seed: int) -> Iterator[np.ndarray]:
    """Means of `samples` resamples, in chunks; none if there are fewer than two clusters."""
    if not np.isfinite(difference).all():
        bad = np.flatnonzero(~np.isfinite(difference))
        raise UserError(
            f"paired differences: {len(bad)} of {len(difference)} are not finite (first: item {bad[0]}); leave items without a "
            "score out of both sides"
        )
    if len(clusters) != len(difference):
        raise UserError(f"paired differences: {len(difference)} items have {len(clusters)} cluster ids; give one per item")
    _, member = np.unique(np.asarray(clusters), return_inverse=True)
    sizes = np.bincount(member)
    if len(sizes) < 2:
        return
    sums = np.bincount(member, weights=difference)
    rng = np.random.default_rng(seed)
    chunk = max(1, _DRAWS // len(sizes))
    for start in range(0, samples, chunk):
        drawn = rng.integers(0, len(sizes), (min(chunk, samples - start), len(sizes)), dtype=np.int32)
        yield sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)


def paired_bootstrap(
    difference: Float[np.ndarray, " N"], clusters: Sequence, samples: int = 2000, seed: int = 0
) -> tuple[float, float, float]:
    """(mean, low, high): the mean difference per item and its percentile 95% interval over resampled clusters.

    `clusters[i]` is any id; items that share it stay together. With fewer than two clusters the interval is NaN, without items
    the mean too; with few (under about 15) it is too narrow. Raises UserError for a difference that is not finite, or when ids
    and items differ in number. Source: Efron and Tibshirani 1993, ch. 13; Cameron, Gelbach and Miller 2008 on clusters.
    """
    difference = np.asarray(difference, np.float64)
    means = list(_resampled_means(difference, clusters, samples, seed))
    mean = float(difference.mean()) if len(difference) else float("nan")
    if not means:
        return mean, float("nan"), float("nan")
    low, high = np.quantile(np.concatenate(means), (0.025, 0.975))
    return mean, float(low), float(high)


def bootstrap_p(difference: Float[np.ndarray, " N"], clusters: Sequence, samples: int = 2000, seed: int = 0) -> float:
    """Two-sided p of "the mean difference is 0" by inverting the percentile interval.

    Twice the smaller share of resampled means on either side of 0, both sides counting zeros, with one added to count and
    samples, so that p is never 0: the least is 2 / (samples + 1). The same seed gives the same resamples as
    `paired_bootstrap`: p is under .05 where the 95% interval leaves out 0, but for rounding. NaN with fewer than two clusters.
    """
    means = list(_resampled_means(np.asarray(difference, np.float64), clusters, samples, seed))
    if not means:
        return float("nan")
    below = sum(int(np.sum(m <= _ZERO)) for m in means)
    above = sum(int(np.sum(m >= -_ZERO)) for m in means)
    return min(1.0, 2 * (min(below, above) + 1) / (samples + 1))


def benjamini_hochberg(p: Float[np.ndarray, " M"]) -> Float[np.ndarray, " M"]:
    """q-values: the false discovery rate at which each test would be called. NaN stays NaN and is no test.

    Source: Benjamini and Hochberg 1995.
    """
    p = np.asarray(p, np.float64)
    q, tested = np.full_like(p, np.nan), np.isfinite(p)
    if tested.any():
        q[tested] = stats.false_discovery_control(p[tested])
    return q


def sign_test(k: int, n: int) -> float:
    """Exact two-sided p of k wins in n comparisons if wins and losses are equally likely. Ties are not in n; 1 if n is 0."""
    return float(stats.binomtest(k, n).pvalue) if n else 1.0


def spearman(a: Float[np.ndarray, " N"], b: Float[np.ndarray, " N"]) -> float:
    """Rank correlation, ties at their mean rank; NaN where one side does not vary."""
    ranks = stats.rankdata(a), stats.rankdata(b)
    if min(np.ptp(r) if len(r) else 0.0 for r in ranks) == 0:
        return float("nan")
    return float(np.corrcoef(*ranks)[0, 1])


def refuse_to_mix(protocols: Mapping[str, str]) -> None:
    """Raises UserError unless all results were measured by one protocol; `protocols`: result's name -> fingerprint."""
    by_fingerprint: dict[str, list[str]] = {}
    for name, fingerprint in protocols.items():
        by_fingerprint.setdefault(fingerprint, []).append(name)
    if len(by_fingerprint) > 1:
        groups = "; ".join(
            f"{fingerprint}: {', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''}"
            for fingerprint, names in by_fingerprint.items()
        )
        raise UserError(
            f"results of {len(by_fingerprint)} eval protocols cannot be compared ({groups}); measure all with the same evals, "
            "world.seed and sizes"
        )
