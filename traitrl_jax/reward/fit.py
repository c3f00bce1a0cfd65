"""Fitting and auditing the rubric head on TraitWorld, where every rubric line has a ground truth.

Fitted on labelled replies of the grader pool: some the start model's own (grader.own_share), the others authors'
and scrambled speech acts.
Audited on the policy's own replies in a pool it never saw: accuracy, calibration error and base rate per line and per trait.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool

from traitrl_jax.config import WorldConfig
from traitrl_jax.data.schema import Criterion, Scenario
from traitrl_jax.data.world.authors import draw_persona, scrambled_reply, write_reply
from traitrl_jax.data.world.lexicon import TRAITS
from traitrl_jax.data.world.pools import DOMAINS
from traitrl_jax.data.world.scenario import make_scenario, pick, with_helpfulness_rubric
from traitrl_jax.data.world.verifier import verify
from traitrl_jax.models.lm import LMState
from traitrl_jax.models.transformer import Decoder
from traitrl_jax.reward.head import Criteria, criterion_logits
from traitrl_jax.runtime.mesh import constrain_rows, constrain_tree, feed_rows, to_host
from traitrl_jax.text.chat import Message, encode_criterion, encode_prompt, encode_reply, pad_left, pad_right
from traitrl_jax.text.templates import WORLD
from traitrl_jax.text.tokenizer import Tokenizer

_FIT = 21  # separates the fitting examples' random stream


class Labelled(NamedTuple):
    """Graded replies as arrays: what the head reads and the ground truth of every line."""

    prompt: np.ndarray  # [N, P]
    prompt_valid: np.ndarray
    answer: np.ndarray  # [N, R] from <answer> on
    answer_valid: np.ndarray
    criteria: Criteria  # [N, K, C]
    met: Bool[Array, "N K"]


def encode_criteria(tokenizer: Tokenizer, rubrics: list[tuple[Criterion, ...]], lines: int, length: int) -> Criteria:
    """Rubrics as ids: [N, lines, length]. A line is text between control tokens; missing lines have 0 points."""
    count = len(rubrics)
    rows = [encode_criterion(tokenizer, rubric[k].text) if k < len(rubric) else [] for rubric in rubrics for k in range(lines)]
    tokens, valid = pad_right(rows, length)
    points = [[rubric[k].points if k < len(rubric) else 0.0 for k in range(lines)] for rubric in rubrics]
    intact = np.array([len(row) <= length for row in rows])
    shape = (count, lines)
    return Criteria(
        tokens.reshape(*shape, length), valid.reshape(*shape, length), np.array(points, np.float32), intact.reshape(shape)
    )


def line_room(tokenizer: Tokenizer, tokens: int) -> int:
    """Slots for a rubric line of `tokens` in the world's own vocabulary and format: published ones were not trained on its text
    and put more around a line."""
    return tokens if tokenizer.template is WORLD else 2 * tokens


def grader_scenarios(count: int, seed: int) -> list[Scenario]:
    """Scenarios of the grader pool, all traits alike; every fourth under the generic helpfulness rubric."""
    found = _scenarios(count, "grader", seed)
    return [with_helpfulness_rubric(scenario) if i % 4 == 3 else scenario for i, scenario in enumerate(found)]


def rl_scenarios(count: int, seed: int) -> list[Scenario]:
    """Scenarios of the rl pool, all traits alike."""
    return _scenarios(count, "rl", seed)


def _scenarios(count: int, pool: str, seed: int) -> list[Scenario]:
    out = []
    for i in range(count):
        rng = np.random.default_rng([seed, _FIT, i])
        out.append(make_scenario(TRAITS[i % len(TRAITS)], pick(rng, DOMAINS), pool, int(rng.integers(1 << 20)), seed))
    return out


def written_replies(scenarios: list[Scenario], world: WorldConfig, seed: int) -> list[str]:
    """Replies by authors and, for two in three, scrambled speech acts."""
    out = []
    for i, scenario in enumerate(scenarios):
        rng = np.random.default_rng([seed, _FIT + 1, i])
        if i % 3:
            out.append(scrambled_reply(scenario, rng))
        else:
            out.append(write_reply(scenario, draw_persona(rng), world, rng).content)
    return out


def label(
    tokenizer: Tokenizer, scenarios: list[Scenario], replies: list[str], prompt: int, reply: int, lines: int, length: int
) -> Labelled:
    """Encode replies with their rubrics and decide every line by the verifier. `prompt` ... are the static sizes."""
    verdicts = [verify(scenario, text) for scenario, text in zip(scenarios, replies, strict=True)]
    return encode_labelled(tokenizer, scenarios, replies, verdicts, prompt, reply, lines, length)


def encode_labelled(
    tokenizer: Tokenizer,
    scenarios: Sequence[Scenario],
    replies: Sequence[str],
    verdicts: Sequence[Sequence[bool]],
    prompt: int,
    reply: int,
    lines: int,
    length: int,
) -> Labelled:
    """Replies to scenarios (one may come several times) with known verdicts per rubric line, as arrays of static sizes: the
    last `prompt` tokens of a conversation, the first `reply` of a reply, `lines` lines of at most `length`."""
    prompts, prompt_valid = pad_left([encode_prompt(tokenizer, s.messages)[-prompt:] for s in scenarios], prompt)
    answers, answer_valid = pad_right([encode_reply(tokenizer, Message("assistant", text)) for text in replies], reply)
    criteria = encode_criteria(tokenizer, [s.rubric for s in scenarios], lines, length)
    met = np.zeros((len(scenarios), lines), bool)
    for i, verdict in enumerate(verdicts):
        met[i, : len(verdict)] = verdict
    return Labelled(prompts, prompt_valid, answers, answer_valid, criteria, met)


def fit_step(
    model: Decoder, optimizer: optax.GradientTransformation, state: LMState, batch: Labelled
) -> tuple[LMState, dict[str, jax.Array]]:
    """One step of binary cross-entropy over the lines that count. Metrics: loss and accuracy."""
    batch = constrain_rows(batch)
    counted = (batch.criteria.points != 0) & batch.criteria.intact

    def loss(head):
        logits = criterion_logits(
            model, head, batch.prompt, batch.prompt_valid, batch.answer, batch.answer_valid, batch.criteria
        )
        each = optax.sigmoid_binary_cross_entropy(logits, batch.met.astype(jnp.float32))
        right = (logits > 0) == batch.met
        total = jnp.maximum(jnp.sum(counted), 1)
        return jnp.sum(each * counted) / total, jnp.sum(right & counted) / total

    (value, accuracy), gradient = jax.value_and_grad(loss, has_aux=True)(state.params)
    updates, new = optimizer.update(gradient, state.optimizer, state.params)
    state = constrain_tree(LMState(optax.apply_updates(state.params, updates), new, state.step + 1))
    return state, {"loss": value, "accuracy": accuracy}


def predict(model: Decoder, head: Any, data: Labelled, batch: int) -> np.ndarray:
    """P(met) of all lines, [N, K], in batches of a static size."""
    count = data.met.shape[0]
    out = []
    for start in range(0, count, batch):
        rows = np.arange(start, start + batch) % count  # the last batch wraps round; what it repeats is cut off below
        part = feed_rows(jax.tree.map(lambda a, r=rows: a[r], data))
        out.append(to_host(_probabilities(model, head, part)))
    return np.concatenate(out)[:count]


@partial(jax.jit, static_argnums=0)  # compiled once per model and shape
def _probabilities(model: Decoder, head: Any, data: Labelled) -> jax.Array:
    return jax.nn.sigmoid(
        criterion_logits(model, head, data.prompt, data.prompt_valid, data.answer, data.answer_valid, data.criteria)
    )


def audit(p_met: np.ndarray, met: np.ndarray, counted: np.ndarray, groups: list[str], bins: int = 10) -> dict[str, Any]:
    """Accuracy, expected calibration error, share met and majority-class accuracy: over all lines and per group (rows'
    traits)."""

    def one(rows: np.ndarray) -> dict[str, float]:
        keep = counted[rows]
        p, y = p_met[rows][keep], met[rows][keep]
        index = np.minimum((p * bins).astype(int), bins - 1)
        error = sum(
            abs(p[index == b].mean() - y[index == b].mean()) * (index == b).mean() for b in range(bins) if (index == b).any()
        )
        return {
            "lines": int(keep.sum()),
            "accuracy": float(((p > 0.5) == y).mean()),
            "calibration_error": float(error),
            "share_met": float(y.mean()),
            "majority": float(max(y.mean(), 1 - y.mean())),
        }

    names = np.array(groups)
    reliability = []
    p, y = p_met[counted], met[counted]
    for b in range(bins):
        inside = np.minimum((p * bins).astype(int), bins - 1) == b
        if inside.any():
            reliability.append({"p": float(p[inside].mean()), "met": float(y[inside].mean()), "lines": int(inside.sum())})
    return {
        "all": one(np.arange(len(names))),
        "by_trait": {name: one(np.flatnonzero(names == name)) for name in sorted(set(groups))},
        "reliability": reliability,
    }
