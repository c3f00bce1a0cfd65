"""Grading K criteria in one call, the conversation read once, against K calls of one criterion: `traitrl bench grading`."""

import time
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from traitrl_jax.config import Bucket, StudyConfig, UserError
from traitrl_jax.models.transformer import Decoder
from traitrl_jax.reward.head import Criteria, grade, init_head
from traitrl_jax.reward.scorer import LINE_TOKENS
from traitrl_jax.runtime.files import peak_memory_gb
from traitrl_jax.study.bench.output import facts, header, said
from traitrl_jax.study.bench.setup import Setup, quick_setup, random_criteria, random_ids, random_params
from traitrl_jax.study.bench.work import forward_flops

_REPLY = 8  # the reply is the last 1/8 of the conversation


def measure(setup: Setup, criteria: int, repeats: int) -> dict[str, Any]:
    """Seconds of both ways, in turns, medians; the largest difference between their P(met), and its spread over criteria."""
    model, (b,) = Decoder(setup.model, setup.vocabulary), setup.rl.buckets
    key, rng = jax.random.key(0), np.random.default_rng(0)
    width = setup.model.width
    head = init_head(random_params(model), width) | {"weight": jax.random.normal(key, (width,)) * width**-0.5}
    prompt, reply = (random_ids(rng, setup.vocabulary, b.rows, n) for n in (b.prompt, b.reply))
    every = jax.device_put(random_criteria(rng, setup.vocabulary, b.rows, criteria))
    single = [Criteria(*(a[:, k : k + 1] for a in every)) for k in range(criteria)]
    program = jax.jit(partial(grade, model, answer_id=None, stops=(-1,)))
    read = jax.device_put((prompt, np.ones(prompt.shape, bool), reply, np.ones(reply.shape, bool)))

    def shared() -> jax.Array:
        return program(head, *read, every)[1]

    def separate() -> jax.Array:
        return jnp.concatenate([program(head, *read, one)[1] for one in single], axis=1)

    ways = {"shared": shared, "separate": separate}
    answers = {name: np.asarray(run()) for name, run in ways.items()}  # compiles
    timed = {name: [] for name in ways}
    for _ in range(repeats):
        for name, run in ways.items():
            start = time.perf_counter()
            run().block_until_ready()
            timed[name].append(time.perf_counter() - start)
    seconds = {name: float(np.median(each)) for name, each in timed.items()}
    tokens = b.prompt + b.reply
    lengths = {"shared": (1, tokens + criteria * LINE_TOKENS), "separate": (criteria, tokens + LINE_TOKENS)}
    flops = {name: calls * forward_flops(setup, b.rows, length, length, 0) for name, (calls, length) in lengths.items()}
    return facts(setup) | {
        "criteria": criteria,
        "criterion_tokens": LINE_TOKENS,
        "repeats": repeats,
        "seconds": seconds,
        "speedup": seconds["separate"] / seconds["shared"],
        "speedup_by_flops": flops["separate"] / flops["shared"],
        "gflop": {name: value / 1e9 for name, value in flops.items()},
        "max_difference": float(np.abs(answers["shared"] - answers["separate"]).max()),
        "spread": float(answers["shared"].std()),
        "peak_memory_gb": peak_memory_gb(),
    }


def bench_grading(
    config: StudyConfig,
    model: str = "",
    tokens: int = 1024,
    criteria: int = 8,
    rows: int = 4,
    repeats: int = 5,
    to: str | None = None,
) -> str:
    """Measure on conversations of `tokens`, the reply included; `to` as in output.said. Raises UserError for an unknown model
    or sizes below their least."""
    for name, value, least in (
        ("tokens", tokens, _REPLY),
        ("criteria", criteria, 1),
        ("rows", rows, 1),
        ("repeats", repeats, 1),
    ):
        if value < least:
            raise UserError(f"--{name} {value}: must be at least {least}")
    setup = quick_setup(config, model, (Bucket(rows, tokens - tokens // _REPLY, tokens // _REPLY),))
    return said(measure(setup, criteria, repeats), _table, to)


def _table(found: dict[str, Any]) -> str:
    seconds, gflop, rows = found["seconds"], found["gflop"], found["buckets"][0]["rows"]
    names = {"shared": "one call", "separate": f"{found['criteria']} calls"}
    lines = [f"{names[k]:<10}{seconds[k]:>9.3f} s{rows / seconds[k]:>9.2f} rows/s{gflop[k]:>11.1f} GFLOP" for k in names]
    return "\n".join(
        [
            *header(found),
            f"{found['criteria']} criteria of {found['criterion_tokens']} tokens; median of {found['repeats']}, in turns",
            "",
            *lines,
            "",
            f"one call is {found['speedup']:.1f} times as fast ({found['speedup_by_flops']:.1f} by FLOPs); P(met) differs by "
            f"at most {found['max_difference']:.1e} (standard deviation over criteria {found['spread']:.2f}); peak memory "
            f"{found['peak_memory_gb']:.2f} GB",
        ]
    )
