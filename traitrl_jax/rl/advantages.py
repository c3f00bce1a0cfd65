"""From scores to advantages: per-token rewards, GAE over masked positions, whitening. Float32 throughout.

Shapes: B rows, R response slots. Row masks mark the model's own tokens, end-of-turn included; other slots (padding, user turns
inside a reply) are skipped and cost nothing. Source: Schulman et al. 2016 (GAE), Ziegler et al. 2019 (KL in the reward).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def token_rewards(
    score: Float[Array, " B"],
    logp_old: Float[Array, "B R"],
    logp_ref: Float[Array, "B R"],
    mask: Bool[Array, "B R"],
    kl_beta: float,
) -> Float[Array, "B R"]:
    """-kl_beta (logp_old - logp_ref) on masked-in tokens (k1), plus the score on the last masked-in token of each row."""
    mask = mask.astype(bool)
    after = jnp.cumsum(mask[:, ::-1], axis=1)[:, ::-1]  # masked-in tokens from here on
    last = mask & (after == 1)
    penalty = -kl_beta * (logp_old - logp_ref).astype(jnp.float32)
    return jnp.where(mask, penalty, 0.0) + jnp.where(last, score.astype(jnp.float32)[:, None], 0.0)


def gae(
    rewards: Float[Array, "B R"], values: Float[Array, "B R"], mask: Bool[Array, "B R"], gamma: float, lam: float
) -> tuple[Float[Array, "B R"], Float[Array, "B R"]]:
    """(advantages, returns), zero outside the mask. values[b, t] is read before token t; after the last token the value is 0.

    A masked-out slot carries value and advantage over itself.
    """
    mask = mask.astype(bool)

    def step(carry, slot):
        advantage, value = carry
        reward, v, own = slot
        new = reward + gamma * value - v + gamma * lam * advantage
        carry = jnp.where(own, new, advantage), jnp.where(own, v, value)
        return carry, jnp.where(own, new, 0.0)

    start = jnp.zeros(rewards.shape[0], jnp.float32)
    slots = tuple(jnp.swapaxes(a, 0, 1) for a in (rewards.astype(jnp.float32), values.astype(jnp.float32), mask))
    _, advantages = jax.lax.scan(step, (start, start), slots, reverse=True)
    advantages = jnp.swapaxes(advantages, 0, 1)
    return advantages, jnp.where(mask, advantages + values, 0.0)


def masked_moments(parts: list[jax.Array], masks: list[jax.Array]) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """(mean, population variance) of the masked-in entries of several arrays taken together."""
    count = jnp.maximum(sum(jnp.sum(m) for m in masks), 1)
    mean = sum(jnp.sum(jnp.where(m, a, 0.0)) for a, m in zip(parts, masks, strict=True)) / count
    variance = sum(jnp.sum(jnp.where(m, (a - mean) ** 2, 0.0)) for a, m in zip(parts, masks, strict=True)) / count
    return mean, variance


def whiten(parts: list[jax.Array], masks: list[jax.Array]) -> list[jax.Array]:
    """(a - mean) / sqrt(variance + 1e-8) with the moments of the whole rollout batch, all length buckets together."""
    masks = [m.astype(bool) for m in masks]
    mean, variance = masked_moments(parts, masks)
    return [jnp.where(m, (a - mean) * jax.lax.rsqrt(variance + 1e-8), 0.0) for a, m in zip(parts, masks, strict=True)]
