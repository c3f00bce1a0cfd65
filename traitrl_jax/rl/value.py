"""The value model: a network of its own, initialised from the policy, with a scalar head near zero. Where the policy is
low-rank adapters on the frozen start model, so is the value model, on the same base. An option is the head alone, on the
policy's hidden states with the gradient stopped."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from traitrl_jax.config import RLConfig
from traitrl_jax.models.adapt import masters, materialise
from traitrl_jax.models.transformer import Decoder
from traitrl_jax.rl.rollout import Rollout, reply_hidden


def init_value(config: RLConfig, trainable: Any, frozen: Any, width: int) -> Any:
    """Parameters {head, bias[, trunk or adapters]}; values are zero at first. Adapters begin as the policy's, `trainable`."""
    value = {"head": jnp.zeros((width,)), "bias": jnp.zeros(())}
    if config.shared_trunk:
        return value
    if config.adapt == "lora":
        return {**value, "adapters": masters(trainable)}
    return {**value, "trunk": masters(frozen)}


def reply_values(
    model: Decoder, value: Any, frozen: Any, rollout: Rollout, policy_hidden: Float[Array, "B R D"]
) -> Float[Array, "B R"]:
    """V before each reply token. `policy_hidden` is used only where the value model is a head alone."""
    if "adapters" in value:
        hidden = reply_hidden(model, *materialise("lora", value["adapters"], frozen), rollout)
    elif "trunk" in value:
        hidden = reply_hidden(model, value["trunk"], None, rollout)
    else:
        hidden = jax.lax.stop_gradient(policy_hidden)
    return hidden.astype(jnp.float32) @ value["head"] + value["bias"]
