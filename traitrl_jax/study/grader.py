"""The rubric head's stage: label replies, fit, audit on the policy's own replies, and refuse a grader that is not good
enough."""

from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from traitrl_jax.config import StudyConfig, UserError
from traitrl_jax.data.world.scenario import with_helpfulness_rubric
from traitrl_jax.evals import runner
from traitrl_jax.evals.engine import Engine
from traitrl_jax.models.lm import LMState
from traitrl_jax.models.transformer import Decoder
from traitrl_jax.reward import fit
from traitrl_jax.reward.head import init_head
from traitrl_jax.runtime.checkpoint import Checkpoints, Stopped, StopSignal
from traitrl_jax.text.tokenizer import Tokenizer

_OWN_SEED, _AUDIT_SEED = 6_000, 6_001
_LINES, _LINE_TOKENS = 4, 20  # of TraitWorld's rubrics; smaller than the scorer's, which also takes users' own


def _sizes(config: StudyConfig) -> tuple[int, int]:
    """(prompt, answer) slots of the grader's input: those of the longest bucket."""
    return config.rl.buckets[-1].prompt, config.rl.buckets[-1].reply


def label_examples(config: StudyConfig, engine: Engine, start: Any, tokenizer: Tokenizer) -> fit.Labelled:
    """Replies of the grader pool with the verdict of every rubric line: the start model's own, then written ones."""
    g, seed = config.grader, config.world.seed
    scenarios = fit.grader_scenarios(g.examples, seed)
    own = int(g.examples * g.own_share)
    sampled = engine.replies((start, None), [s.messages for s in scenarios[:own]], runner.SCENARIO_TOKENS, _OWN_SEED)
    texts = [reply.message.content for reply in sampled] + fit.written_replies(scenarios[own:], config.world, seed)
    return fit.label(tokenizer, scenarios, texts, *_sizes(config), _LINES, _LINE_TOKENS)


def fit_head(config: StudyConfig, model: Decoder, start: Any, data: fit.Labelled, folder: Path, tracker_of, progress_of) -> Any:
    """Fit the head; continues from its newest checkpoint. Raises Stopped after SIGTERM."""
    g = config.grader
    head = init_head(start, model.spec.width)
    optimizer = fit.make_optimizer(g)
    state = LMState(head, optimizer.init(head), jnp.zeros((), jnp.int32))
    program = jax.jit(partial(fit.fit_step, model, optimizer), donate_argnums=0)
    with Checkpoints(folder / "checkpoints") as checkpoints, StopSignal() as stop:
        first = checkpoints.latest() or 0
        if first:
            state, _ = checkpoints.restore(first, state)
        with tracker_of(folder, first) as tracker, progress_of(g.steps) as progress:
            for step in range(first, g.steps):
                rows = np.random.default_rng([config.start_seed, 31, step]).choice(data.met.shape[0], g.batch, replace=False)
                state, metrics = program(state, jax.tree.map(lambda a, r=rows: a[r], data))
                done = step + 1
                if done % 20 == 0 or done == g.steps:
                    values = {name: float(value) for name, value in metrics.items()}
                    tracker.log(done, values)
                    progress.update(done, values, 20 * g.batch * (data.prompt.shape[1] + data.answer.shape[1]))
                if done % (4 * config.checkpoint_every) == 0 or done == g.steps or stop.requested:
                    checkpoints.save(done, state, {"step": done})
                if stop.requested:
                    checkpoints.wait()
                    raise Stopped(f"stopped at grader step {done} of {g.steps}; the same command continues")
    return state.params


def audit_head(
    config: StudyConfig, engine: Engine, model: Decoder, start: Any, head: Any, tokenizer: Tokenizer
) -> dict[str, Any]:
    """The head against ground truth on the start model's replies to scenarios of the rl pool: what training will show it."""
    g = config.grader
    scenarios = fit.rl_scenarios(g.audit, config.world.seed)
    scenarios = [with_helpfulness_rubric(s) if i % 4 == 3 else s for i, s in enumerate(scenarios)]
    replies = engine.replies((start, None), [s.messages for s in scenarios], runner.SCENARIO_TOKENS, _AUDIT_SEED)
    data = fit.label(tokenizer, scenarios, [r.message.content for r in replies], *_sizes(config), _LINES, _LINE_TOKENS)
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
