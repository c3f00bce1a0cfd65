"""PPO's losses and diagnostics. Every loss is (sum, count): the caller divides once, over all buckets, so that means are global
token means (checklist 11). Source: Schulman et al. 2017; value clipping and k3 as in common practice.

Shapes: B rows, R response slots.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from traitrl_jax.rl.advantages import masked_moments

Sum = tuple[Float[Array, ""], Float[Array, ""]]
MAX_LOG_RATIO = 20.0  # log-ratios are clamped here before exp


def _sum(values: Float[Array, "B R"], mask: Bool[Array, "B R"]) -> Sum:
    mask = mask.astype(bool)
    return jnp.sum(jnp.where(mask, values, 0.0)), jnp.sum(mask).astype(jnp.float32)


def ratio(logp_new: Float[Array, "B R"], logp_old: Float[Array, "B R"]) -> Float[Array, "B R"]:
    """exp(logp_new - logp_old), clamped."""
    return jnp.exp(jnp.clip(logp_new - logp_old, -MAX_LOG_RATIO, MAX_LOG_RATIO))


def policy_loss(logp_new, logp_old, advantages, mask, clip: float) -> Sum:
    """Clipped surrogate: max(-A r, -A clip(r, 1 - clip, 1 + clip))."""
    r = ratio(logp_new, logp_old)
    return _sum(jnp.maximum(-advantages * r, -advantages * jnp.clip(r, 1 - clip, 1 + clip)), mask)


def value_loss(values_new, values_old, returns, mask, value_clip: float) -> Sum:
    """0.5 max((v - R)^2, (clip(v, v_old - c, v_old + c) - R)^2)."""
    clipped = jnp.clip(values_new, values_old - value_clip, values_old + value_clip)
    return _sum(0.5 * jnp.maximum((values_new - returns) ** 2, (clipped - returns) ** 2), mask)


def kl_loss(logp_new, logp_ref, mask) -> Sum:
    """k2: half the squared log-ratio to the reference; its gradient is that of the KL."""
    return _sum(0.5 * (logp_new - logp_ref) ** 2, mask)


def clip_fraction(logp_new, logp_old, mask, clip: float) -> Sum:
    """Share of tokens whose ratio left [1 - clip, 1 + clip]."""
    return _sum((jnp.abs(ratio(logp_new, logp_old) - 1) > clip).astype(jnp.float32), mask)


def approx_kl(logp_new, logp_old, mask) -> Sum:
    """k3: r - 1 - log r, never negative."""
    log_ratio = jnp.clip(logp_new - logp_old, -MAX_LOG_RATIO, MAX_LOG_RATIO)
    return _sum(jnp.exp(log_ratio) - 1 - log_ratio, mask)


def sequence_kl(logp_old, logp_ref, mask) -> Sum:
    """k1 summed over each row's tokens, in nats; the count is rows."""
    total, _ = _sum(logp_old - logp_ref, mask)
    return total, jnp.asarray(mask.shape[0], jnp.float32)


def explained_variance(values: list[jax.Array], returns: list[jax.Array], masks: list[jax.Array]) -> Float[Array, ""]:
    """1 - Var(R - v) / Var(R) over the masked-in tokens of all buckets; 0 where the returns do not vary."""
    _, residual = masked_moments([r - v for r, v in zip(returns, values, strict=True)], masks)
    _, total = masked_moments(returns, masks)
    return jnp.where(total > 1e-12, 1 - residual / jnp.maximum(total, 1e-12), 0.0)
