"""The value model: a network of its own, initialised from the policy, with a scalar head near zero (or, as an option, only the
head, on the policy's hidden states with the gradient stopped)."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from traitrl_jax.models.transformer import Decoder
from traitrl_jax.rl.rollout import Rollout, reply_hidden


def init_value(policy_params: Any, width: int, shared_trunk: bool) -> Any:
    """Parameters {head, bias[, trunk]}; values are zero at first."""
    value = {"head": jnp.zeros((width,)), "bias": jnp.zeros(())}
    return value if shared_trunk else {**value, "trunk": jax.tree.map(jnp.copy, policy_params)}


def reply_values(model: Decoder, value: Any, rollout: Rollout, policy_hidden: Float[Array, "B R D"]) -> Float[Array, "B R"]:
    """V before each reply token. `policy_hidden` is used only where the value model has no trunk of its own."""
    if "trunk" in value:
        hidden = reply_hidden(model, value["trunk"], None, rollout)
    else:
        hidden = jax.lax.stop_gradient(policy_hidden)
    return hidden.astype(jnp.float32) @ value["head"] + value["bias"]
