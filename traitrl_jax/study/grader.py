"""The rubric head's stage: label replies, fit, audit on the policy's own replies, and refuse a grader that is not good
enough."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from traitrl_jax.config import StudyConfig, UserError
from traitrl_jax.data.world.scenario import with_every_act_line, with_helpfulness_rubric
from traitrl_jax.evals import runner
from traitrl_jax.evals.engine import Engine
from traitrl_jax.models.lm import LMState, make_optimizer
from traitrl_jax.models.transformer import Decoder
from traitrl_jax.reward import fit
from traitrl_jax.reward.head import Criteria, init_head
from traitrl_jax.runtime.mesh import create, feed_rows
from traitrl_jax.study.training import train
from traitrl_jax.text.tokenizer import Tokenizer

_OWN_SEED, _AUDIT_SEED = 6_000, 6_001
# Sizes of TraitWorld's rubrics and answers; the scorer's are larger, because it also takes users' own.
_LINES, LINE_TOKENS, _ANSWER_TOKENS = 4, 16, 56
_FIT_LINES = 6  # with more lines about the acts than a rubric has
_FIT_PROMPT = (
    24  # last tokens of the conversation, in the first steps: what reply and line say is learned sooner without the rest
)
_FULL_SHARE = 0.25  # of the steps: the last ones, with whole conversations


def fit_batch(config: StudyConfig, line_tokens: int) -> fit.Labelled:
    """A batch of nothing, in the shapes of fitting with whole conversations."""
    rows, (prompt, answer), lines = config.grader.batch, _sizes(config), (config.grader.batch, _FIT_LINES)
    line = (*lines, line_tokens)
    criteria = Criteria(np.zeros(line, np.int32), np.ones(line, bool), np.ones(lines, np.float32), np.ones(lines, bool))
    sides = [part for size in (prompt, answer) for part in (np.zeros((rows, size), np.int32), np.ones((rows, size), bool))]
    return fit.Labelled(*sides, criteria, np.ones(lines, bool))


def _sizes(config: StudyConfig) -> tuple[int, int]:
    """(prompt, answer) slots of the grader's input: those of the longest bucket, without the thought."""
    return config.rl.buckets[-1].prompt, min(config.rl.buckets[-1].reply, _ANSWER_TOKENS)


def label_examples(config: StudyConfig, engine: Engine, start: Any, tokenizer: Tokenizer) -> fit.Labelled:
    """Replies of the grader pool with the verdict of every rubric line: the start model's own, then written ones."""
    g, seed = config.grader, config.world.seed
    scenarios = fit.grader_scenarios(g.examples, seed)
    own = int(g.examples * g.own_share)
    sampled = engine.replies((start, None), [s.messages for s in scenarios[:own]], runner.SCENARIO_TOKENS, _OWN_SEED)
    texts = [reply.message.content for reply in sampled] + fit.written_replies(scenarios[own:], config.world, seed)
    asked = [with_every_act_line(s, _FIT_LINES) for s in scenarios]
    return fit.label(tokenizer, asked, texts, *_sizes(config), _FIT_LINES, fit.line_room(tokenizer, LINE_TOKENS))


def fitting(config: StudyConfig, model: Decoder) -> tuple[Callable[[Any], LMState], Any]:
    """(the first state from the start model's parameters, the compiled step)."""
    g = config.grader
    optimizer = make_optimizer(g.lr, g.steps // 20, g.steps, g.matrix_lr)

    def begin(start: Any) -> LMState:
        head = init_head(start, model.spec.width)
        return LMState(head, optimizer.init(head), jnp.zeros((), jnp.int32))

    return begin, jax.jit(partial(fit.fit_step, model, optimizer), donate_argnums=0)


def fit_head(config: StudyConfig, model: Decoder, start: Any, data: fit.Labelled, folder: Path, tracker_of, progress_of) -> Any:
    """Fit the head; continues from its newest checkpoint. Raises Stopped after SIGTERM."""
    g = config.grader
    begin, program = fitting(config, model)
    state = create(begin, start)
    brief = data._replace(prompt=data.prompt[:, -_FIT_PROMPT:], prompt_valid=data.prompt_valid[:, -_FIT_PROMPT:])

    def advance(state: LMState, step: int):
        rows = np.random.default_rng([config.start_seed, 31, step]).choice(data.met.shape[0], g.batch, replace=False)
        read = brief if step < g.steps * (1 - _FULL_SHARE) else data
        batch = jax.tree.map(lambda a: a[rows], read)
        return *program(state, feed_rows(batch)), int(
            batch.prompt_valid.sum() + batch.answer_valid.sum() + batch.criteria.valid.sum()
        )

    every = 4 * config.checkpoint_every
    return train("rubric head", g.steps, state, advance, folder, tracker_of, progress_of, 20, every).params


def audit_head(
    config: StudyConfig, engine: Engine, model: Decoder, start: Any, head: Any, tokenizer: Tokenizer
) -> dict[str, Any]:
    """The head against ground truth on the start model's replies to scenarios of the rl pool: what training will show it."""
    g = config.grader
    scenarios = fit.rl_scenarios(g.audit, config.world.seed)
    scenarios = [with_helpfulness_rubric(s) if i % 4 == 3 else s for i, s in enumerate(scenarios)]
    replies = engine.replies((start, None), [s.messages for s in scenarios], runner.SCENARIO_TOKENS, _AUDIT_SEED)
    data = fit.label(
        tokenizer,
        scenarios,
        [r.message.content for r in replies],
        *_sizes(config),
        _LINES,
        fit.line_room(tokenizer, LINE_TOKENS),
    )
    p_met = fit.predict(model, head, data, min(g.batch, g.audit))
    return fit.audit(p_met, np.asarray(data.met), np.asarray(data.criteria.points) != 0, [s.trait for s in scenarios])


def check_grader(config: StudyConfig, audited: dict[str, Any]) -> None:
    """Raises UserError if the audit's accuracy is below the configured one."""
    accuracy = audited["all"]["accuracy"]
    if not accuracy >= config.gate.accuracy:
        raise UserError(
            f"rubric head: accuracy {accuracy:.3f} per line on the start model's replies is below "
            f"gate.accuracy={config.gate.accuracy}; fit longer (grader.steps, grader.examples) or lower the bar"
        )
