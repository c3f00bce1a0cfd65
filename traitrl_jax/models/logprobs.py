"""Log-probabilities of given tokens, computed in chunks, so that no [B, T, V] array exists at once.

Shapes: B batch, T time, D width, V vocabulary.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from traitrl_jax.models.transformer import Decoder
from traitrl_jax.runtime.mesh import constrain_tree, shards

MAX_LOGITS = 1 << 23  # floats of logits alive at once on a device,
_WIDER = 8  # and so many times more in bfloat16: an accelerator reads the whole head for every chunk


def token_logprobs(
    model: Decoder, params, hidden: Float[Array, "B T D"], targets: Int[Array, "B T"], temperature: float = 1.0
) -> tuple[Float[Array, "B T"], Float[Array, "B T"]]:
    """(log-probability of the target, entropy of the distribution), both at `temperature`, in float32.

    hidden[b, t] scores targets[b, t]; the caller aligns them. The entropy carries gradient too.
    """
    rows, length, width = hidden.shape
    head = "embedding" if model.spec.tied else "head"
    params = params | constrain_tree({head: params[head]}, drop=("fsdp",))  # gathered once, not for every chunk
    most = MAX_LOGITS * (_WIDER if model.spec.dtype == "bfloat16" else 1)

    def chunk(args):
        x, y = args[0].reshape(-1, width), args[1].reshape(-1)
        logits = model.apply({"params": params}, x, temperature, method="logits")
        logits -= jax.lax.stop_gradient(jnp.max(logits, axis=-1, keepdims=True))
        weights = jnp.exp(logits)  # the one pass over the vocabulary that costs
        total = jnp.sum(weights, axis=-1)
        normaliser = jnp.log(total)
        picked = jnp.take_along_axis(logits, y[:, None], axis=-1)[:, 0]
        logp, entropy = picked - normaliser, normaliser - jnp.sum(weights * logits, axis=-1) / total
        return logp.reshape(args[1].shape), entropy.reshape(args[1].shape)

    columns = max(1, most * shards() // (model.vocabulary * rows))
    if length <= columns:
        return chunk((hidden, targets))
    pad = -length % columns  # in time: rows stay where the mesh has them

    def cut(a: jax.Array) -> jax.Array:
        padded = jnp.pad(a, ((0, 0), (0, pad)) + ((0, 0),) * (a.ndim - 2))
        return jnp.swapaxes(padded.reshape(rows, -1, columns, *a.shape[2:]), 0, 1)

    done = jax.lax.map(jax.checkpoint(chunk), (cut(hidden), cut(targets)))
    return tuple(jnp.swapaxes(a, 0, 1).reshape(rows, -1)[:, :length] for a in done)
