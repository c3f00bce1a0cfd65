"""Sampling replies: prefill, then one `while_loop` until every row has ended, with a dense cache.

Shapes: B rows, P prompt slots (left-padded), R reply slots, D width, V vocabulary.
"""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from traitrl_jax.models.transformer import Context, Decoder
from traitrl_jax.text.tokenizer import END


@flax.struct.dataclass
class Replies:
    """What was sampled. A row's tokens are tokens[b, :length[b]], the end-of-turn included if it was reached."""

    tokens: Int[Array, "B R"]  # zero (<pad>) behind the end
    logprobs: Float[Array, "B R"]  # of the sampler, at its temperature; zero behind the end
    length: Int[Array, " B"]
    ended: Bool[Array, " B"]  # False: cut off at the length cap

    @property
    def mask(self) -> Bool[Array, "B R"]:
        """The action mask, from lengths: never from token != pad."""
        return jnp.arange(self.tokens.shape[1])[None, :] < self.length[:, None]


def row_keys(key: jax.Array, rows: Int[Array, " B"]) -> jax.Array:
    """One key per row id, so that a row's reply does not depend on the batch it is sampled in."""
    return jax.vmap(lambda row: jax.random.fold_in(key, row))(rows)


def sample(
    model: Decoder,
    params: Any,
    prefix: Float[Array, "Q D"] | None,
    tokens: Int[Array, "B P"],
    valid: Bool[Array, "B P"],
    keys: jax.Array,
    max_new: int,
    temperature: float,
    stop: Int[Array, ""] | int = END,
) -> Replies:
    """Sample up to `max_new` tokens after each prompt, at `temperature` (0: greedy), until `stop`.

    Control tokens that no reply holds (<pad>, <bos>, roles) stay possible: the log-probabilities are those of the whole
    vocabulary, as in the update. Text of a reply is decoded without them.
    """
    count, width = tokens.shape
    soft = 0 if prefix is None else prefix.shape[0]
    hidden, cache = model.apply({"params": params}, tokens, Context.of(valid), prefix, max_new)
    start = soft + valid.sum(axis=1)

    def choose(last: jax.Array, t: jax.Array) -> tuple[jax.Array, jax.Array]:
        logits = model.apply({"params": params}, last, method="logits").astype(jnp.float32)
        logits = logits / (temperature or 1.0)
        if temperature:
            noise = jax.vmap(lambda key: jax.random.gumbel(jax.random.fold_in(key, t), (model.vocabulary,)))(keys)
            token = jnp.argmax(logits + noise, axis=-1)
        else:
            token = jnp.argmax(logits, axis=-1)
        logp = jnp.take_along_axis(logits, token[:, None], axis=-1)[:, 0] - jax.nn.logsumexp(logits, axis=-1)
        return token.astype(jnp.int32), logp

    def write(t, token, logp, done, out, logps):
        column = (0, t)
        out = jax.lax.dynamic_update_slice(out, jnp.where(done, 0, token)[:, None], column)
        return out, jax.lax.dynamic_update_slice(logps, jnp.where(done, 0.0, logp)[:, None], column)

    token, logp = choose(hidden[:, -1], jnp.int32(0))
    done = jnp.zeros(count, bool)
    out, logps = write(0, token, logp, done, jnp.zeros((count, max_new), jnp.int32), jnp.zeros((count, max_new)))
    length = jnp.ones(count, jnp.int32)

    def more(carry):
        t, *_, done, _, _, _ = carry
        return (t < max_new) & ~jnp.all(done)

    def body(carry):
        t, token, previous, cache, done, out, logps, length = carry
        last, cache = model.apply(
            {"params": params}, token, previous, start + t - 1, soft + width + t - 1, cache, method="decode_step"
        )
        new, logp = choose(last, t)
        out, logps = write(t, new, logp, done, out, logps)
        length = length + jnp.where(done, 0, 1)
        return t + 1, new, token, cache, done | (new == stop), out, logps, length

    carry = (jnp.int32(1), token, tokens[:, -1], cache, token == stop, out, logps, length)
    *_, done, out, logps, length = jax.lax.while_loop(more, body, carry)
    return Replies(tokens=out, logprobs=logps, length=length, ended=done)
