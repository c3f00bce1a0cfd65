"""The jitted rubric head: P(met) of every criterion of every reply, in one call.

Layout of a row: conversation, the reply (from <answer> on, where the format has thoughts), then the criteria. The shared
prefix is encoded once; each criterion attends to it and to itself (mask by segment, positions restart), which equals grading
the K criteria in K separate calls. The thought is cut out on the device before the grader sees anything; points are hidden
from it.

Shapes: B rows, P prompt slots (left-padded), R reply slots, K criteria, C criterion slots (right-padded), D width.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from traitrl_jax.models.adapt import masters
from traitrl_jax.models.transformer import Context, Decoder
from traitrl_jax.reward.rubric import rubric_score
from traitrl_jax.runtime.mesh import constrain_rows
from traitrl_jax.text.tokenizer import ANSWER, END


class Criteria(NamedTuple):
    """Rubric lines as ids. `intact` is False where a line was cut to C tokens: its verdict is NaN, not a guess."""

    tokens: Int[Array, "B K C"]
    valid: Bool[Array, "B K C"]
    points: Float[Array, "B K"]  # 0: no such line
    intact: Bool[Array, "B K"]


def init_head(trunk: Any, width: int) -> Any:
    """Grader parameters: a copy of the start model's trunk, to train, and a readout that says .5 to everything."""
    return {"trunk": masters(trunk), "weight": jnp.zeros((width,)), "bias": jnp.zeros(())}


def strip_thought(
    reply: Int[Array, "B R"], mask: Bool[Array, "B R"], answer_id: int | None = ANSWER
) -> tuple[Int[Array, "B R"], Bool[Array, "B R"]]:
    """The reply from the token `answer_id` on, moved to the left; nothing at all if it has none. None: a format without
    thoughts, in which the reply stays as it is."""
    if answer_id is None:
        return jnp.where(mask, reply, 0), mask
    slots = jnp.arange(reply.shape[1])
    is_answer = (reply == answer_id) & mask
    start = jnp.where(jnp.any(is_answer, axis=1), jnp.argmax(is_answer, axis=1), reply.shape[1])
    source = start[:, None] + slots[None, :]
    inside = source < reply.shape[1]
    source = jnp.minimum(source, reply.shape[1] - 1)
    kept = inside & jnp.take_along_axis(mask, source, axis=1)
    return jnp.where(kept, jnp.take_along_axis(reply, source, axis=1), 0), kept


def criterion_logits(
    model: Decoder,
    head: Any,
    prompt: jax.Array,
    prompt_valid: jax.Array,
    answer: jax.Array,
    answer_valid: jax.Array,
    criteria: Criteria,
) -> Float[Array, "B K"]:
    """Log-odds that each criterion is met, read at its last token."""
    rows, k, c = criteria.tokens.shape
    prefix_valid = jnp.concatenate([prompt_valid, answer_valid], axis=1)
    numbers = jnp.where(criteria.valid, jnp.arange(1, k + 1)[:, None], -1).reshape(rows, k * c)
    context = Context.shared(jnp.concatenate([jnp.where(prefix_valid, 0, -1), numbers], axis=1))
    tokens = jnp.concatenate([prompt, answer, criteria.tokens.reshape(rows, k * c)], axis=1)
    hidden, _ = model.apply({"params": head["trunk"]}, tokens, context)
    hidden = hidden[:, prefix_valid.shape[1] :].reshape(rows, k, c, -1)
    last = jnp.maximum(criteria.valid.sum(axis=2) - 1, 0)
    read = jnp.take_along_axis(hidden, last[..., None, None], axis=2)[:, :, 0]
    return read.astype(jnp.float32) @ head["weight"] + head["bias"]


def grade(
    model: Decoder,
    head: Any,
    prompt: Int[Array, "B P"],
    prompt_valid: Bool[Array, "B P"],
    reply: Int[Array, "B R"],
    mask: Bool[Array, "B R"],
    criteria: Criteria,
    answer_id: int | None = ANSWER,
    stops: tuple[int, ...] = (END,),
) -> tuple[Float[Array, " B"], Float[Array, "B K"]]:
    """(score, P(met)) of sampled replies. A reply without text meets nothing; a grader failure (criterion cut off, non-finite
    log-odds) is NaN in that criterion and in the row's score."""
    prompt, prompt_valid, reply, mask, criteria = constrain_rows((prompt, prompt_valid, reply, mask, criteria))
    answer, answer_valid = strip_thought(reply, mask, answer_id)
    logits = criterion_logits(model, head, prompt, prompt_valid, answer, answer_valid, criteria)
    p_met = jnp.where(criteria.intact & jnp.isfinite(logits), jax.nn.sigmoid(logits), jnp.nan)
    empty = jnp.isin(answer, jnp.array([*stops, *([] if answer_id is None else [answer_id])]))
    has_text = jnp.any(answer_valid & ~empty, axis=1)
    p_met = jnp.where(has_text[:, None], p_met, 0.0)
    return rubric_score(p_met, criteria.points), p_met
