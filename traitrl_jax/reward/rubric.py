"""From verdicts to a score: points of met criteria over the sum of positive points (HealthBench's rule).

Shapes: B rows, K criteria.
"""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from traitrl_jax.data.schema import Criterion, check_rubric


def rubric_score(p_met: Float[Array, "B K"], points: Float[Array, "B K"]) -> Float[Array, " B"]:
    """sum(p_met x points) / sum(positive points), unclipped; absent criteria have 0 points. NaN if a criterion that
    counts is NaN."""
    positive = jnp.sum(jnp.maximum(points, 0.0), axis=-1)
    return jnp.sum(jnp.where(points == 0, 0.0, p_met * points), axis=-1) / jnp.maximum(positive, 1e-9)


def healthbench_score(met: Sequence[bool], points: Sequence[float]) -> float:
    """The same with verdicts 0 or 1. Raises UserError for a rubric without positive points."""
    check_rubric([Criterion("", p) for p in points], "rubric")
    return float(np.sum(np.asarray(met) * np.asarray(points)) / np.sum(np.maximum(points, 0)))
