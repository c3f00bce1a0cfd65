"""What PPO learns from: prompts, the replies sampled after them, scores and the models' readings of them.

Shapes: B rows, P prompt slots (left-padded), R reply slots, T = P + R. A step's rows are split into length buckets, each a
`Rollout` of its own static shape; advantages and losses run over all of them together.
"""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from traitrl_jax.models.logprobs import token_logprobs
from traitrl_jax.models.sampling import Replies
from traitrl_jax.models.transformer import Context, Decoder


@flax.struct.dataclass
class Rollout:
    """One length bucket of a step."""

    prompt: Int[Array, "B P"]
    prompt_valid: Bool[Array, "B P"]
    reply: Int[Array, "B R"]
    mask: Bool[Array, "B R"]  # the action mask: the reply's tokens, end-of-turn included; all False where the score is NaN
    sampler_logprobs: Float[Array, "B R"]
    score: Float[Array, " B"]  # after the affine map; 0 where masked out

    @property
    def tokens(self) -> Int[Array, "B T"]:
        """Prompt and reply side by side."""
        return jnp.concatenate([self.prompt, self.reply], axis=1)

    @property
    def valid(self) -> Bool[Array, "B T"]:
        """Real slots. A row that is masked out keeps its prompt, so that no row is empty."""
        return jnp.concatenate([self.prompt_valid, self.mask], axis=1)


def make_rollout(
    prompt: Int[Array, "B P"],
    prompt_valid: Bool[Array, "B P"],
    replies: Replies,
    score: Float[Array, " B"],
    scale: float,
    shift: float,
    truncation_penalty: float,
) -> Rollout:
    """Join prompts, replies and raw scores. A NaN score (a failed grader) masks its row out of loss and whitening.

    Truncated replies are scored as they stand, less the penalty.
    """
    graded = jnp.isfinite(score)
    score = jnp.where(graded, score, 0.0) - truncation_penalty * ~replies.ended
    return Rollout(
        prompt=prompt,
        prompt_valid=prompt_valid,
        reply=replies.tokens,
        mask=replies.mask & graded[:, None],
        sampler_logprobs=replies.logprobs,
        score=jnp.where(graded, scale * score + shift, 0.0),
    )


def reply_hidden(model: Decoder, params: Any, prefix: Float[Array, "Q D"] | None, rollout: Rollout) -> Float[Array, "B R D"]:
    """Hidden states that score the reply's tokens: entry t is read at the slot before token t."""
    tokens, valid = rollout.tokens[:, :-1], rollout.valid[:, :-1]
    hidden, _ = model.apply({"params": params}, tokens, Context.of(valid), prefix)
    return hidden[:, rollout.prompt.shape[1] - 1 :]


def reply_logprobs(
    model: Decoder, params: Any, prefix: jax.Array | None, rollout: Rollout, temperature: float
) -> tuple[Float[Array, "B R"], Float[Array, "B R"], Float[Array, "B R D"]]:
    """(log-probabilities of the reply's tokens, entropies, hidden states), at the sampling temperature."""
    hidden = reply_hidden(model, params, prefix, rollout)
    logp, entropy = token_logprobs(model, params, hidden, rollout.reply, temperature)
    return logp, entropy, hidden
