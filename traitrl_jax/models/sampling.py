"""Sampling replies: prefill, then one `while_loop` until every row has ended, with a dense cache.

Shapes: B rows, P prompt slots (left-padded), R reply slots, D width, V vocabulary.
"""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from traitrl_jax.models.layer import compute_type
from traitrl_jax.models.transformer import Context, Decoder
from traitrl_jax.runtime.mesh import constrain_rows, constrain_tree
from traitrl_jax.text.tokenizer import END

_BLOCK = 32  # tokens whose probabilities are summed before the draw


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


def draw(logits: Float[Array, "B V"], uniform: Float[Array, " B"]) -> tuple[Int[Array, " B"], Float[Array, " B"]]:
    """(a token per row, its log-probability), by inverting the distribution function at `uniform`, numbers in [0, 1): first the
    block of tokens, then the token in it.

    One random number and one exponential per entry; Gumbel noise takes two logarithms more, which is most of a decoding step.
    """
    rows, vocabulary = logits.shape
    logits -= jnp.max(logits, axis=-1, keepdims=True)
    blocks = jnp.pad(jnp.exp(logits), ((0, 0), (0, -vocabulary % _BLOCK))).reshape(rows, -1, _BLOCK)
    below = jnp.cumsum(blocks.sum(axis=-1), axis=-1)
    total = below[:, -1:]
    point = uniform[:, None] * total
    block = jnp.sum(below <= point, axis=-1, keepdims=True)
    start = jnp.where(block > 0, jnp.take_along_axis(below, jnp.maximum(block - 1, 0), axis=-1), 0.0)
    inside = jnp.cumsum(jnp.take_along_axis(blocks, block[:, :, None], axis=1)[:, 0], axis=-1)
    rank = jnp.minimum(jnp.sum(start + inside <= point, axis=-1, keepdims=True), _BLOCK - 1)  # rounding may pass the end
    token = jnp.minimum(block * _BLOCK + rank, vocabulary - 1)
    return token[:, 0], (jnp.take_along_axis(logits, token, axis=-1) - jnp.log(total))[:, 0]


def sample(
    model: Decoder,
    params: Any,
    prefix: Float[Array, "Q D"] | None,
    tokens: Int[Array, "B P"],
    valid: Bool[Array, "B P"],
    keys: jax.Array,
    max_new: int,
    temperature: float,
    stops: tuple[int, ...] = (END,),
) -> Replies:
    """Sample up to `max_new` tokens after each prompt, at `temperature` (0: greedy), until one of `stops`.

    Control tokens that no reply holds (<pad>, <bos>, roles) stay possible: the log-probabilities are those of the whole
    vocabulary, as in the update. Text of a reply is decoded without them.
    """
    tokens, valid, keys = constrain_rows((tokens, valid, keys))
    # The layout of decoding, in the compute type: gathered once, not for every token. The prompt, whose products are large, is
    # read with the training layout, a layer's weights at a time.
    whole = constrain_tree(compute_type(params, model.spec), drop=("fsdp",))
    count, width = tokens.shape
    soft = 0 if prefix is None else prefix.shape[0]
    hidden, cache = model.apply({"params": params}, tokens, Context.of(valid), prefix, max_new)
    start = soft + valid.sum(axis=1)

    def choose(last: jax.Array, t: jax.Array) -> tuple[jax.Array, jax.Array]:
        logits = model.apply({"params": whole}, last, temperature or 1.0, method="logits")
        if temperature:
            token, logp = draw(logits, jax.vmap(lambda key: jax.random.uniform(jax.random.fold_in(key, t)))(keys))
        else:
            token = jnp.argmax(logits, axis=-1)
            logp = jnp.max(logits, axis=-1) - jax.nn.logsumexp(logits, axis=-1)
        return token.astype(jnp.int32), logp

    def write(t, token, logp, done, out, logps):
        column = (0, t)
        out = jax.lax.dynamic_update_slice(out, jnp.where(done, 0, token)[:, None], column)
        return out, jax.lax.dynamic_update_slice(logps, jnp.where(done, 0.0, logp)[:, None], column)

    def ends(token: jax.Array) -> jax.Array:
        return jnp.any(token[:, None] == jnp.array(stops), axis=1)

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
            {"params": whole}, token, previous, start + t - 1, soft + width + t - 1, cache, method="decode_step"
        )
        new, logp = choose(last, t)
        out, logps = write(t, new, logp, done, out, logps)
        length = length + jnp.where(done, 0, 1)
        return t + 1, new, token, cache, done | ends(new), out, logps, length

    carry = (jnp.int32(1), token, tokens[:, -1], cache, ends(token), out, logps, length)
    *_, done, out, logps, length = jax.lax.while_loop(more, body, carry)
    return Replies(tokens=out, logprobs=logps, length=length, ended=done)
