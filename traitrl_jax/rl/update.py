"""One PPO step as a pure function: `update(state, rollouts) -> (state, metrics)`.

Order: score the rollout with old policy, reference and value model in the training graph; token rewards, GAE, joint whitening;
then epochs of minibatches. Everything is one jitted program with donated state. Checklist numbers stand in brackets.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from traitrl_jax.config import RLConfig
from traitrl_jax.models.adapt import materialise, reference_policy
from traitrl_jax.models.transformer import Decoder
from traitrl_jax.rl import losses
from traitrl_jax.rl.advantages import gae, token_rewards, whiten
from traitrl_jax.rl.rollout import Rollout, reply_logprobs
from traitrl_jax.rl.value import init_value, reply_values
from traitrl_jax.runtime.mesh import constrain_rows, constrain_tree

Metrics = dict[str, Float[Array, ""]]


class TrainState(NamedTuple):
    """All that RL carries from step to step; with the step's number it is all that resume needs."""

    policy: Any  # trainable parameters (models/adapt.py)
    value: Any
    policy_optimizer: Any
    value_optimizer: Any
    step: Int[Array, ""]
    skipped: Int[Array, ""]  # non-finite updates in a row


class Batch(NamedTuple):
    """A bucket with what is fixed before the epochs."""

    rollout: Rollout
    logp_old: Float[Array, "B R"]
    logp_ref: Float[Array, "B R"]
    value_old: Float[Array, "B R"]
    advantage: Float[Array, "B R"]
    returns: Float[Array, "B R"]


def make_optimizer(config: RLConfig) -> optax.GradientTransformation:
    """Adam(.9, .95, 1e-8) after clipping by global norm, without a learning rate: that follows the step, not Adam's
    count. [14]"""
    return optax.chain(optax.clip_by_global_norm(config.max_grad_norm), optax.scale_by_adam(b1=0.9, b2=0.95, eps=1e-8))


def learning_rate(config: RLConfig, peak: float, step: Int[Array, ""], start: int = 0) -> Float[Array, ""]:
    """Linear warm-up from step `start`, then constant or linear decay that reaches 0 at `config.steps`. Steps are PPO
    steps, so the schedule is the same in every arm, however many epochs were cut short or updates skipped. [14]"""
    ramp = jnp.clip((step - start + 1) / max(1, config.warmup), 0.0, 1.0)
    return peak * ramp * (jnp.maximum(0.0, 1 - step / config.steps) if config.decay else 1.0)


def init_state(config: RLConfig, trainable: Any, frozen: Any, width: int) -> TrainState:
    """The state before the first step; the value model starts from the frozen start model. [9]"""
    value = init_value(config, trainable, frozen, width)
    return TrainState(
        policy=trainable,
        value=value,
        policy_optimizer=make_optimizer(config).init(trainable),
        value_optimizer=make_optimizer(config).init(value),
        step=jnp.zeros((), jnp.int32),
        skipped=jnp.zeros((), jnp.int32),
    )


def prepare(
    model: Decoder, config: RLConfig, state: TrainState, frozen: Any, reference: Any, rollouts: tuple[Rollout, ...]
) -> tuple[Batch, ...]:
    """Old, reference and value readings, token rewards, advantages whitened over all buckets together. [2, 3, 5, 8]"""
    policy = materialise(config.adapt, state.policy, frozen)
    start = reference_policy(config.adapt, reference, frozen)

    def read(rollout: Rollout) -> tuple[jax.Array, jax.Array, jax.Array]:
        logp_old, _, hidden = reply_logprobs(model, *policy, rollout, config.temperature)
        logp_ref, _, _ = reply_logprobs(model, *start, rollout, config.temperature)
        return logp_old, logp_ref, jnp.where(rollout.mask, reply_values(model, state.value, frozen, rollout, hidden), 0.0)

    parts = []
    for rollout in rollouts:
        if config.accumulate == 1:
            logp_old, logp_ref, value = read(rollout)
        else:
            pieces = jax.lax.map(read, _split(rollout, config.minibatches * config.accumulate))
            logp_old, logp_ref, value = (jnp.swapaxes(a, 0, 1).reshape(-1, a.shape[-1]) for a in pieces)
        rewards = token_rewards(rollout.score, logp_old, logp_ref, rollout.mask, config.kl_beta)
        advantage, returns = gae(rewards, value, rollout.mask, config.gamma, config.lam)
        parts.append(Batch(rollout, logp_old, logp_ref, value, advantage, returns))
    white = whiten([p.advantage for p in parts], [p.rollout.mask for p in parts])
    return tuple(p._replace(advantage=a) for p, a in zip(parts, white, strict=True))


def _loss(model: Decoder, config: RLConfig, trained: Any, frozen: Any, batches: tuple[Batch, ...], count: jax.Array):
    """(scalar loss, metrics); every term a global token mean over `count` tokens. [6, 11]"""
    policy_params, value_params = trained
    policy = materialise(config.adapt, policy_params, frozen)
    sums = {name: jnp.zeros(()) for name in ("policy_loss", "value_loss", "kl_loss", "entropy", "clip_fraction", "approx_kl")}
    ratio_max = jnp.ones(())
    for b in batches:
        mask = b.rollout.mask
        logp, entropy, hidden = reply_logprobs(model, *policy, b.rollout, config.temperature)
        values = reply_values(model, value_params, frozen, b.rollout, hidden)
        sums["policy_loss"] += losses.policy_loss(logp, b.logp_old, b.advantage, mask, config.clip)[0]
        sums["value_loss"] += losses.value_loss(values, b.value_old, b.returns, mask, config.value_clip)[0]
        sums["kl_loss"] += losses.kl_loss(logp, b.logp_ref, mask)[0]
        sums["entropy"] += jnp.sum(jnp.where(mask, entropy, 0.0))
        sums["clip_fraction"] += losses.clip_fraction(logp, b.logp_old, mask, config.clip)[0]
        sums["approx_kl"] += losses.approx_kl(logp, b.logp_old, mask)[0]
        ratio = jnp.where(mask, losses.ratio(logp, b.logp_old), 1.0)
        ratio_max = jnp.maximum(ratio_max, jnp.max(jnp.maximum(ratio, 1 / jnp.maximum(ratio, 1e-9))))
    means = {name: value / jnp.maximum(count, 1) for name, value in sums.items()}
    total = means["policy_loss"] + means["value_loss"]
    total += config.kl_loss * means["kl_loss"] - config.entropy * means["entropy"]
    return total, {**means, "ratio_max": ratio_max}


def _split(tree: Any, parts: int) -> Any:
    """[B, ...] leaves as [parts, B / parts, ...]: part i has rows i, i + parts, ... and so its share of every device's rows."""
    return jax.tree.map(lambda a: jnp.swapaxes(a.reshape(-1, parts, *a.shape[1:]), 0, 1), tree)


def _gradient(model: Decoder, config: RLConfig, trained: Any, frozen: Any, batches: tuple[Batch, ...], count: jax.Array):
    """((loss, metrics), gradient) of a minibatch, in `accumulate` parts. Every part's loss is divided by the tokens of the
    whole minibatch, so that ragged parts add up exactly. [11]"""
    gradient = jax.value_and_grad(partial(_loss, model, config), has_aux=True)
    if config.accumulate == 1:
        return gradient(trained, frozen, batches, count)

    def add(carry, part):
        (loss, metrics), grads = gradient(trained, frozen, constrain_rows(part), count)
        worst = jnp.maximum(carry[0][1]["ratio_max"], metrics["ratio_max"])
        (loss, metrics), grads = jax.tree.map(jnp.add, carry, ((loss, metrics), grads))
        return ((loss, metrics | {"ratio_max": worst}), grads), None

    parts = tuple(_split(b, config.accumulate) for b in batches)
    first = tuple(jax.tree.map(lambda a: a[0], b) for b in parts)
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(gradient, trained, frozen, first, count))
    return jax.lax.scan(add, zeros, parts)[0]


def update(
    model: Decoder,
    config: RLConfig,
    state: TrainState,
    frozen: Any,
    reference: Any,
    rollouts: tuple[Rollout, ...],
    key: jax.Array,
) -> tuple[TrainState, Metrics]:
    """One PPO step. `reference` is the initial trainable pytree. Metrics are float32 scalars; see `step_metrics`.

    A non-finite loss or gradient leaves the state as it was, but for `skipped`, which counts such updates in a row [15]. From
    the first minibatch whose approximate KL exceeds `max_kl` on, nothing changes any more in this step.
    """
    rollouts = constrain_rows(rollouts)
    batches = prepare(model, config, state, frozen, reference, rollouts)
    optimizer = make_optimizer(config)
    policy_rate = learning_rate(config, config.lr, state.step, config.value_warmup)
    value_rate = learning_rate(config, config.value_lr, state.step)
    moves_policy = state.step >= config.value_warmup

    def minibatch(carry, rows):
        state, stopped = carry
        part = constrain_rows(tuple(jax.tree.map(lambda a, r=r: a[r], b) for b, r in zip(batches, rows, strict=True)))
        count = sum(jnp.sum(b.rollout.mask) for b in part).astype(jnp.float32)
        (loss, metrics), (g_policy, g_value) = _gradient(model, config, (state.policy, state.value), frozen, part, count)
        norms = {"grad_norm": optax.tree.norm(g_policy), "value_grad_norm": optax.tree.norm(g_value)}
        finite = jnp.isfinite(loss) & jnp.isfinite(norms["grad_norm"]) & jnp.isfinite(norms["value_grad_norm"])
        stopped = stopped | (metrics["approx_kl"] > config.max_kl)
        apply = finite & ~stopped
        allowed = apply & moves_policy
        policy, policy_optimizer = _apply(optimizer, policy_rate, g_policy, state.policy_optimizer, state.policy, allowed)
        value, value_optimizer = _apply(optimizer, value_rate, g_value, state.value_optimizer, state.value, apply)
        state = state._replace(
            policy=policy,
            value=value,
            policy_optimizer=policy_optimizer,
            value_optimizer=value_optimizer,
            skipped=jnp.where(finite, 0, state.skipped + 1),
        )
        return (constrain_tree(state), stopped), {
            **metrics,
            **norms,
            "stopped": stopped.astype(jnp.float32),
            "finite": finite.astype(jnp.float32),
        }

    rows = _minibatch_rows(config, rollouts, key)
    (new, _), history = jax.lax.scan(minibatch, (state, jnp.zeros((), bool)), rows)  # unrolled: no faster here
    return new._replace(step=state.step + 1), step_metrics(batches, history)


def _apply(optimizer, rate, gradient, opt_state, params, allowed):
    """An optimiser step at learning rate `rate`, or nothing where not `allowed`."""
    updates, new_state = optimizer.update(gradient, opt_state, params)
    new_params = jax.tree.map(lambda p, u: p - rate * u, params, updates)
    keep = partial(jax.tree.map, lambda new, old: jnp.where(allowed, new, old))
    return keep(new_params, params), keep(new_state, opt_state)


def _minibatch_rows(config: RLConfig, rollouts: tuple[Rollout, ...], key: jax.Array) -> tuple[Int[Array, "U M"], ...]:
    """For every bucket the rows of each update: `epochs` permutations, each cut into `minibatches`."""
    per_bucket = []
    for i, rollout in enumerate(rollouts):
        rows = rollout.reply.shape[0]
        if config.minibatches == 1:
            order = jnp.tile(jnp.arange(rows), (config.epochs, 1))
        else:
            keys = jax.random.split(jax.random.fold_in(key, i), config.epochs)
            order = jax.vmap(lambda k, n=rows: jax.random.permutation(k, n))(keys)
        per_bucket.append(order.reshape(config.epochs * config.minibatches, rows // config.minibatches))
    return tuple(per_bucket)


def step_metrics(batches: tuple[Batch, ...], history: Metrics) -> Metrics:
    """Health of a step [17]: the first update's identity figures, means over updates, and readings of the rollout."""
    masks = [b.rollout.mask for b in batches]
    tokens = jnp.maximum(sum(jnp.sum(m) for m in masks), 1)
    gaps = [jnp.where(m, jnp.abs(b.logp_old - b.rollout.sampler_logprobs), 0.0) for b, m in zip(batches, masks, strict=True)]
    kls = [losses.sequence_kl(b.logp_old, b.logp_ref, b.rollout.mask) for b in batches]
    rows = jnp.maximum(sum(jnp.sum(jnp.any(m, axis=1)) for m in masks), 1)
    metrics = {name: jnp.mean(values) for name, values in history.items()}
    metrics["ratio_max"] = jnp.max(history["ratio_max"])
    metrics["first_ratio_max"] = history["ratio_max"][0]
    metrics["first_approx_kl"] = history["approx_kl"][0]
    metrics["entropy"] = history["entropy"][0]
    metrics["sampler_gap_mean"] = sum(jnp.sum(g) for g in gaps) / tokens
    metrics["sampler_gap_max"] = jnp.max(jnp.stack([jnp.max(g) for g in gaps]))
    metrics["sequence_kl"] = sum(total for total, _ in kls) / rows
    metrics["token_kl"] = sum(total for total, _ in kls) / tokens
    metrics["explained_variance"] = losses.explained_variance(
        [b.value_old for b in batches], [b.returns for b in batches], masks
    )
    metrics["masked_rows"] = sum(m.shape[0] for m in masks) - sum(jnp.sum(jnp.any(m, axis=1)) for m in masks)
    return {name: jnp.asarray(value, jnp.float32) for name, value in metrics.items()}
