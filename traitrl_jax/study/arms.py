"""Training one arm with one seed: PPO on its stream, with held-out proxy and gold scores along the way."""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from traitrl_jax.config import ArmConfig, StudyConfig, UserError
from traitrl_jax.data.rows import Row, Stream
from traitrl_jax.data.schema import Scenario
from traitrl_jax.data.sources import content
from traitrl_jax.evals import runner
from traitrl_jax.evals.engine import Engine, Policy
from traitrl_jax.models.sampling import Replies
from traitrl_jax.models.transformer import Decoder
from traitrl_jax.reward.scorer import Scorer
from traitrl_jax.rl.loop import Programs, train
from traitrl_jax.runtime.checkpoint import Checkpoints
from traitrl_jax.runtime.mesh import to_host
from traitrl_jax.text.chat import encode_prompt, pad_left, pad_right
from traitrl_jax.text.tokenizer import Tokenizer

_CURVE_SEED = 7_000
_CURVE_TASKS = 10  # per family


def step_rows(config: StudyConfig) -> int:
    """Rollout rows of a step."""
    return sum(bucket.rows for bucket in config.rl.buckets)


def make_stream(config: StudyConfig, arm: ArmConfig, seed: int) -> Stream:
    """The arm's rows; of the same seed, standard rows are the same in every arm."""
    return Stream(arm, config.data, config.world, seed, step_rows(config))


def content_of(config: StudyConfig, arms: Sequence[ArmConfig]) -> tuple[str, ...]:
    """What these arms' training depends on besides the config (data/sources.content)."""
    return content(config.data, sorted({path for arm in arms for path in arm.scenario_files}))


class Curve:
    """Held-out measurements along training: proxy (the reward's grader) and gold on the same replies, and standard tasks."""

    def __init__(self, config: StudyConfig, engine: Engine, scorer: Scorer, tokenizer: Tokenizer):
        every = runner.held_out_scenarios(1, config.world.seed)
        take = np.linspace(0, len(every) - 1, min(config.rl.eval_items, len(every))).astype(int)
        self._rows = [Row("eval", every[i]) for i in take]
        self._config, self._engine, self._scorer, self._tokenizer = config, engine, scorer, tokenizer

    def __call__(self, policy: Policy) -> dict[str, float]:
        """{eval/proxy, eval/gold, eval/tasks}."""
        replies = self._engine.replies(policy, [r.messages for r in self._rows], runner.SCENARIO_TOKENS, _CURVE_SEED)
        bucket = self._config.rl.buckets[-1]
        prompt, valid = pad_left(
            [encode_prompt(self._tokenizer, r.messages)[-bucket.prompt :] for r in self._rows], bucket.prompt
        )
        tokens, mask = pad_right([r.ids for r in replies], bucket.reply)
        sampled = Replies(
            tokens=jnp.array(tokens),
            logprobs=jnp.zeros(tokens.shape),
            length=jnp.array(mask.sum(axis=1)),
            ended=jnp.array([r.ended for r in replies]),
        )
        scores = self._scorer(self._rows, prompt, valid, sampled)
        tasks = runner.run_tasks(self._engine, policy, _CURVE_TASKS, _CURVE_SEED, self._config.world.seed)
        return {
            "eval/proxy": float(np.nanmean(to_host(scores.reward))),
            "eval/gold": float(np.mean(scores.gold)),
            "eval/tasks": runner.mean(tasks),
        }


def train_arm(
    config: StudyConfig,
    arm: ArmConfig,
    seed: int,
    model: Decoder,
    programs: Programs,
    frozen: Any,
    tokenizer: Tokenizer,
    scorer: Scorer,
    curve: Curve,
    folder: Path,
    tracker_of,
    progress_of,
) -> Any:
    """The arm's trained (trainable) parameters. Raises Stopped after SIGTERM."""
    stream = make_stream(config, arm, seed)
    with Checkpoints(folder / "checkpoints") as checkpoints:
        first = checkpoints.latest()
        with tracker_of(folder, first) as tracker, progress_of(config.rl.steps) as progress:
            return train(
                model, config.rl, programs, frozen, tokenizer, stream, scorer, curve, seed,
                checkpoints, config.checkpoint_every, tracker, progress,
            )  # fmt: skip


def check_rows(config: StudyConfig, tokenizer: Tokenizer, scorer: Scorer | None) -> None:
    """Every arm's first rows, and all that it has from files, fit the rubric sizes and the last, largest bucket.

    Raises UserError before anything expensive starts.
    """
    longest = config.rl.buckets[-1].prompt
    for arm in config.arms:
        stream = make_stream(config, arm, config.seeds[0])
        for row in chain(next(stream.batches(0)), stream.stored()):
            if scorer:
                scorer.check([row])
            tokens = len(encode_prompt(tokenizer, row.messages))
            if tokens > longest:
                name = f"scenario {row.item.id}" if isinstance(row.item, Scenario) else f"a task of {row.source}"
                raise UserError(
                    f"{name}: its prompt has {tokens} tokens, the last of rl.buckets takes {longest}; raise it, or leave it out"
                )


def policy_of(config: StudyConfig, trainable: Any, frozen: Any) -> tuple[Any, jax.Array | None]:
    """Decoder parameters and soft prefix of a trained arm."""
    from traitrl_jax.models.adapt import materialise

    return materialise(config.rl.adapt, trainable, frozen)
