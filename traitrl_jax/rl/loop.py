"""The training loop of one arm: data, rollout, grading, update, metrics, checkpoint. PPO's mathematics is in rl/update.

Randomness is a function of (seed, step, row): nothing random is saved. A run killed at any moment continues from its newest
checkpoint and gives the same parameters and metrics as one that was not.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from traitrl_jax.config import Bucket, RLConfig, UserError
from traitrl_jax.data.rows import Row, Stream
from traitrl_jax.models.adapt import init_trainable, materialise
from traitrl_jax.models.sampling import Replies, row_keys, sample
from traitrl_jax.models.transformer import Decoder
from traitrl_jax.rl.rollout import Rollout, make_rollout
from traitrl_jax.rl.update import TrainState, init_state, update
from traitrl_jax.runtime.checkpoint import Checkpoints, Stopped, StopSignal
from traitrl_jax.runtime.mesh import create, feed_rows, to_host
from traitrl_jax.runtime.tracking import Progress, Tracker
from traitrl_jax.text.chat import encode_prompt, pad_left
from traitrl_jax.text.tokenizer import END, Tokenizer

_INIT, _SAMPLE, _SHUFFLE = range(3)  # roles of keys
_FIRST = {"float32": 1e-3, "bfloat16": 0.2}  # how far the first step may be from the identity: readings round apart


class Programs(NamedTuple):
    """The compiled programs of PPO. Arms of a study share them: their shapes are alike."""

    sample: Callable[..., Replies]  # (trainable, frozen, tokens, valid, keys, max_new)
    rollout: Callable[..., Rollout]  # (prompt, valid, replies, score)
    update: Callable[..., tuple[TrainState, dict[str, jax.Array]]]  # (state, frozen, reference, rollouts, key)


def compile_programs(model: Decoder, config: RLConfig, stops: tuple[int, ...] = (END,)) -> Programs:
    """Jitted rollout and update, the update with donated state. `stops`: the tokens that end a reply."""

    def run_sample(trainable, frozen, tokens, valid, keys, max_new: int) -> Replies:
        params, prefix = materialise(config.adapt, trainable, frozen)
        return sample(model, params, prefix, tokens, valid, keys, max_new, config.temperature, stops)

    join = partial(
        make_rollout,
        scale=config.reward_scale,
        shift=config.reward_shift,
        truncation_penalty=config.truncation_penalty,
    )
    return Programs(
        sample=jax.jit(run_sample, static_argnums=5),
        rollout=jax.jit(join),
        update=jax.jit(partial(update, model, config), donate_argnums=0),
    )


def split_buckets(prompts: Sequence[Sequence[int]], buckets: Sequence[Bucket]) -> list[list[int]]:
    """Row numbers of every bucket: the longest prompts fill the last bucket, and so on down. Stable.

    Raises UserError where a prompt does not fit, or rows and buckets do not add up.
    """
    if len(prompts) != sum(b.rows for b in buckets):
        raise UserError(f"rl.buckets hold {sum(b.rows for b in buckets)} rows, a step has {len(prompts)}")
    order = sorted(range(len(prompts)), key=lambda i: (-len(prompts[i]), i))
    out, at = [], 0
    for bucket in reversed(buckets):
        rows = sorted(order[at : at + bucket.rows])
        at += bucket.rows
        longest = max((len(prompts[i]) for i in rows), default=0)
        if longest > bucket.prompt:
            raise UserError(f"a prompt has {longest} tokens, its bucket in rl.buckets takes {bucket.prompt}; raise it")
        out.append(rows)
    return out[::-1]


def train(
    model: Decoder,
    config: RLConfig,
    programs: Programs,
    frozen: Any,
    tokenizer: Tokenizer,
    stream: Stream,
    score: Callable[..., Any],
    evaluate: Callable[[tuple[Any, jax.Array | None]], dict[str, float]],
    seed: int,
    checkpoints: Checkpoints,
    checkpoint_every: int,
    tracker: Tracker,
    progress: Progress,
) -> Any:
    """Train one arm to `config.steps`; returns the trainable parameters.

    `score(rows, prompt, valid, replies)` gives reward/scorer.Scores; `evaluate(policy)` gives held-out metrics for the curve.
    Raises Stopped after SIGTERM (state saved) and UserError if updates stay non-finite.
    """
    key = jax.random.key(seed)

    def begin(frozen):
        return init_trainable(
            config.adapt, frozen, config, jax.random.fold_in(key, _INIT), tokenizer.begin, model.spec.embed_scale
        )

    state = create(lambda f: init_state(config, begin(f), f, model.spec.width), frozen)
    reference = frozen if config.adapt == "all" else create(begin, frozen)
    first = checkpoints.latest() or 0
    if first:
        state, _ = checkpoints.restore(first, state)
    batches = stream.batches(first)
    with StopSignal() as stop:
        for step in range(first, config.steps):
            if step == 0:
                tracker.log(0, evaluate(materialise(config.adapt, state.policy, frozen)))
            state, metrics, timing = _step(
                config, programs, state, frozen, reference, tokenizer, next(batches), score, jax.random.fold_in(key, step)
            )
            if step == 0:
                _check_first(metrics, _FIRST[model.spec.dtype])
            if metrics["skipped_in_a_row"] >= config.max_skipped:
                raise UserError(
                    f"step {step}: {config.max_skipped} updates in a row were not finite; lower rl.lr or rl.reward_scale"
                )
            tracker.log(step + 1, metrics)
            progress.update(step + 1, metrics, metrics["tokens"])
            done = step + 1
            if done % config.eval_every == 0 or done == config.steps:
                tracker.log(done, evaluate(materialise(config.adapt, state.policy, frozen)))
            stopping = stop.agreed()
            if done % checkpoint_every == 0 or done == config.steps or stopping:
                checkpoints.save(done, state, {"step": done})
            if stopping:
                checkpoints.wait()
                raise Stopped(f"stopped at step {done} of {config.steps}; the same command continues")
        checkpoints.wait()
    return state.policy


def _step(config, programs, state, frozen, reference, tokenizer, rows: list[Row], score, key):
    """One step; (state, metrics, seconds per phase)."""
    clock = [time.perf_counter()]

    def lap() -> None:
        clock.append(time.perf_counter())

    prompts = [encode_prompt(tokenizer, row.messages) for row in rows]
    groups = split_buckets(prompts, config.buckets)
    inputs = [
        feed_rows(pad_left([prompts[i] for i in group], b.prompt)) for group, b in zip(groups, config.buckets, strict=True)
    ]
    lap()
    replies = [
        programs.sample(
            state.policy, frozen, tokens, valid, row_keys(jax.random.fold_in(key, _SAMPLE), jnp.array(group)), b.reply
        )
        for group, (tokens, valid), b in zip(groups, inputs, config.buckets, strict=True)
    ]
    jax.block_until_ready(replies)
    lap()
    scores = [
        score([rows[i] for i in group], tokens, valid, reply)
        for group, (tokens, valid), reply in zip(groups, inputs, replies, strict=True)
    ]
    jax.block_until_ready([s.reward for s in scores])
    lap()
    rollouts = tuple(
        programs.rollout(tokens, valid, reply, s.reward)
        for (tokens, valid), reply, s in zip(inputs, replies, scores, strict=True)
    )
    state, health = programs.update(state, frozen, reference, rollouts, jax.random.fold_in(key, _SHUFFLE))
    metrics = {name: float(value) for name, value in jax.device_get(health).items()}
    metrics["skipped_in_a_row"] = int(state.skipped)
    lap()
    phases = dict(zip(("data", "rollout", "grading", "update"), np.diff(clock).tolist(), strict=True))
    return state, metrics | _reward_metrics(rows, groups, scores, replies), phases


def _reward_metrics(rows: list[Row], groups: list[list[int]], scores: list[Any], replies: list[Replies]) -> dict[str, float]:
    """Reward, spread, dead share, gold, length and truncation: over all rows and per source. [10, 12, 13]"""
    order = [i for group in groups for i in group]
    reward = np.concatenate(to_host([s.reward for s in scores]))
    gold = np.concatenate([s.gold for s in scores])
    lengths = np.concatenate([s.lengths for s in scores])
    ended = np.concatenate(to_host([r.ended for r in replies]))
    kinds = np.array([rows[i].source.split("/")[0] for i in order])
    leaves = np.array(["/".join(rows[i].source.split("/")[:2]) for i in order])
    out = {
        "reward": float(np.nanmean(reward)),
        "reward_std": float(np.nanstd(reward)),
        "grader_failures": int(np.isnan(reward).sum()),
        "reply_tokens": float(lengths.mean()),
        "truncated": float(1 - ended.mean()),
        "tokens": int(lengths.sum()),
    }
    if np.isfinite(gold).any():
        out["gold"] = float(np.nanmean(gold))
    for kind in np.unique(kinds):
        out[f"reward/{kind}"] = float(np.nanmean(reward[kinds == kind]))
        out[f"reward_std/{kind}"] = float(np.nanstd(reward[kinds == kind]))
        out[f"truncated/{kind}"] = float(1 - ended[kinds == kind].mean())
    spread = []
    for leaf in np.unique(leaves):
        mine = reward[leaves == leaf]
        out[f"reward/{leaf}"] = float(np.nanmean(mine))
        spread += [np.nanmax(mine) - np.nanmin(mine) < 1e-6] if len(mine) > 1 else []
    out["dead_sources"] = float(np.mean(spread)) if spread else 0.0
    return out


def _check_first(metrics: dict[str, float], tolerance: float) -> None:
    """With unchanged weights the ratio is 1 and the KL to the reference 0. [6]"""
    if abs(metrics["first_ratio_max"] - 1) > tolerance or abs(metrics["sequence_kl"]) > tolerance:
        raise UserError(
            f"step 0: ratio {metrics['first_ratio_max']:.6f} and sequence KL {metrics['sequence_kl']:.6f} should be 1 and 0; "
            "sampler and trainer disagree, please report this"
        )
