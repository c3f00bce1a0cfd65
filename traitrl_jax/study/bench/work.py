"""Floating-point operations and bytes of PPO's programs, by formula."""

import jax.numpy as jnp

from traitrl_jax.config import Bucket
from traitrl_jax.models.families import count_parameters
from traitrl_jax.models.layer import key_heads
from traitrl_jax.reward.scorer import LINE_TOKENS, LINES
from traitrl_jax.study.bench.setup import Setup, graded_buckets

PHASES = ("data", "rollout", "grading", "update")


def forward_flops(setup: Setup, rows: int, queries: int, keys: int, read: int) -> float:
    """Floating-point operations of the decoder's matrix products over `rows` of `queries` tokens, each beside `keys`
    slots, whose logits are read at `read` of them.

    Counted: 2 per matrix parameter a token meets (attention's four projections, the MLP's two or three, the copying's three
    mixes, the output head where logits are read); attention's two products, 2 x 2 x keys x heads x head size, over all slots,
    as the dense mask computes them, and the copying's two, 2 x 2 x keys x width. Not counted: embedding look-ups, norms,
    rotations, softmax, match weights, losses, optimiser.
    """
    m = setup.model
    heads, shared = m.heads * m.head_dim, key_heads(m) * m.head_dim
    matrices = m.width * (2 * heads + 2 * shared + (3 if m.gated else 2) * m.mlp)
    token = m.layers * (2 * matrices + 4 * keys * heads)
    if m.copying:
        token += 2 * 3 * m.width**2 + 4 * keys * m.width
    return float(rows * (queries * token + read * 2 * m.width * setup.vocabulary))


def update_flops(setup: Setup, b: Bucket) -> float:
    """Of a bucket's update: a forward pass of old policy, reference and value model, then in every epoch policy and value model
    forward and backward. A backward pass is two forward passes; an output head that is frozen has one of them, to what it
    read. What is recomputed is not counted again."""
    rl = setup.rl
    prefix = rl.prefix_vectors if rl.adapt == "prefix" else 0
    full = prefix + b.prompt + b.reply
    policy = forward_flops(setup, b.rows, full - 1, full - 1, b.reply)
    head = policy - forward_flops(setup, b.rows, full - 1, full - 1, 0)
    value = 0.0 if rl.shared_trunk else forward_flops(setup, b.rows, full - prefix - 1, full - prefix - 1, 0)
    frozen = 0.0 if rl.adapt == "all" else head
    return 2 * policy + value + rl.epochs * (3 * (policy + value) - frozen)


def step_flops(setup: Setup) -> dict[str, float]:
    """FLOPs of every phase of a step. Rollout: the prompt once, then a token at a time beside the whole cache. Grading: prompt,
    reply and all criteria side by side, once."""
    rl = setup.rl
    prefix = rl.prefix_vectors if rl.adapt == "prefix" else 0
    totals = dict.fromkeys(PHASES, 0.0)
    for b, graded in zip(rl.buckets, graded_buckets(setup), strict=True):
        full = prefix + b.prompt + b.reply
        totals["rollout"] += forward_flops(setup, b.rows, prefix + b.prompt, prefix + b.prompt, 1)
        totals["rollout"] += (b.reply - 1) * forward_flops(setup, b.rows, 1, full, 1)
        if graded:
            length = b.prompt + b.reply + LINES * LINE_TOKENS
            totals["grading"] += forward_flops(setup, b.rows, length, length, 0)
        totals["update"] += update_flops(setup, b)
    return totals


def decode_bytes(setup: Setup, b: Bucket, copies: int = 1) -> float:
    """Bytes that one decoding step of a bucket must read: every parameter once, in the compute type, and the whole cache of
    keys and values; with `copying`, the embeddings of all slots. An untied embedding is looked up in a few rows, not read.
    `copies`: of the parameters, on a mesh that splits the rows."""
    m, slots = setup.model, b.prompt + b.reply + (setup.rl.prefix_vectors if setup.rl.adapt == "prefix" else 0)
    parameters = count_parameters(m, setup.vocabulary) - (0 if m.tied else m.width * setup.vocabulary)
    cache = 2 * m.layers * b.rows * slots * key_heads(m) * m.head_dim
    copied = b.rows * slots * m.width if m.copying else 0
    return float(jnp.dtype(m.dtype).itemsize * (copies * parameters + cache + copied))


def tokens_of(setup: Setup) -> dict[str, int]:
    """Tokens of every phase of a step."""
    buckets = setup.rl.buckets
    prompts, replied = sum(b.rows * b.prompt for b in buckets), sum(b.rows * b.reply for b in buckets)
    graded = [b for b, flag in zip(buckets, graded_buckets(setup), strict=True) if flag]
    read = sum(b.rows * (b.prompt + b.reply + LINES * LINE_TOKENS) for b in graded)
    return {"data": prompts, "rollout": replied, "grading": read, "update": prompts + replied}
