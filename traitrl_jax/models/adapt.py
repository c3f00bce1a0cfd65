"""What training may change: all parameters, low-rank adapters, or a soft prefix of vectors before every prompt.

A policy is (trainable, frozen): `materialise` gives the decoder's parameters and the prefix, and everything downstream takes
those two. The frozen start model is held once: it is the base of adapters and the reference of the KL. Findings on the embedded
world: a narrow channel generalises traits further than all weights do, so this is a first-class choice of every study
(`rl.adapt`).
"""

import math
from typing import Any

import jax
import jax.numpy as jnp

from traitrl_jax.config import RLConfig, unknown
from traitrl_jax.text.tokenizer import BOS

_MATRICES = ("wq", "wk", "wv", "wo", "w_up", "w_down", "w_gate")
_INPUTS = {"wo": 2}  # leading axes that are inputs; 1 for the others
KINDS = ("all", "lora", "prefix")


def init_trainable(kind: str, frozen: Any, config: RLConfig, key: jax.Array, begin: int = BOS, scaled: bool = True) -> Any:
    """Fresh trainable parameters, in float32. The policy they give is the reference of the KL: `all` and `lora` equal `frozen`
    exactly, a soft prefix begins as copies of the embedded token `begin`, told apart by a little noise; `scaled` as
    ModelSpec.embed_scale.

    Raises UserError for an unknown kind.
    """
    if kind == "all":
        return masters(frozen)
    if kind == "lora":
        return _init_lora(frozen, config.lora_rank, key)
    if kind == "prefix":
        width = frozen["embedding"].shape[1]
        first = frozen["embedding"][begin].astype(jnp.float32) * (width**0.5 if scaled else 1.0)
        return {"prefix": first + 0.02 * jax.random.normal(key, (config.prefix_vectors, width))}
    raise unknown("rl.adapt", kind, KINDS)


def masters(params: Any) -> Any:
    """A copy to train: float32, whatever type it is held in."""
    return jax.tree.map(lambda leaf: jnp.array(leaf, jnp.float32, copy=True), params)


def hold(params: Any, dtype: str) -> Any:
    """Parameters that nothing trains, in `dtype`; the same arrays if that is what they are."""
    return jax.tree.map(lambda leaf: leaf.astype(dtype), params)


def reference_policy(kind: str, reference: Any, frozen: Any) -> tuple[Any, jax.Array | None]:
    """(decoder parameters, soft prefix or None) of the reference, given its trainable parameters as they began. Low-rank
    adapters begin at nothing, so theirs is the base itself: it costs no second copy."""
    return (frozen, None) if kind == "lora" else materialise(kind, reference, frozen)


def _split(name: str, shape: tuple[int, ...]) -> tuple[int, int]:
    inputs = _INPUTS.get(name, 1)
    return math.prod(shape[:inputs]), math.prod(shape[inputs:])


def _init_lora(frozen: Any, rank: int, key: jax.Array) -> Any:
    adapters = {}
    for i, (layer, weights) in enumerate(sorted(frozen.items())):
        if not layer.startswith("layer_"):
            continue
        for j, name in enumerate(name for name in _MATRICES if name in weights):
            n_in, n_out = _split(name, weights[name].shape)
            down = jax.random.normal(jax.random.fold_in(key, 100 * i + j), (n_in, rank)) * n_in**-0.5
            adapters[f"{layer}/{name}"] = {"down": down, "up": jnp.zeros((rank, n_out))}
    return adapters


def materialise(kind: str, trainable: Any, frozen: Any) -> tuple[Any, jax.Array | None]:
    """(decoder parameters, soft prefix or None) of a policy. Gradients flow to `trainable`."""
    if kind == "all":
        return trainable, None
    if kind == "prefix":
        return frozen, trainable["prefix"]
    params = {k: dict(v) if isinstance(v, dict) else v for k, v in frozen.items()}
    for path, adapter in trainable.items():
        layer, name = path.split("/")
        weight = params[layer][name]
        params[layer][name] = weight + (adapter["down"] @ adapter["up"]).reshape(weight.shape)
    return params, None
