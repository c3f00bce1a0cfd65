"""Speed of a PPO step, against what the machine's matrix multiplication and memory allow: `traitrl bench ppo`.

The stop token is impossible, so every reply has its bucket's full length.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from traitrl_jax.config import Bucket, StudyConfig, UserError, unknown
from traitrl_jax.models.adapt import materialise
from traitrl_jax.models.sampling import row_keys, sample
from traitrl_jax.models.transformer import Decoder
from traitrl_jax.reward.head import grade, init_head
from traitrl_jax.reward.scorer import LINES
from traitrl_jax.rl.loop import compile_programs
from traitrl_jax.runtime.files import peak_memory_gb
from traitrl_jax.runtime.mesh import create, make_mesh, use_mesh
from traitrl_jax.study.bench.ceilings import matmul_ceiling, read_ceiling
from traitrl_jax.study.bench.output import facts, header, said
from traitrl_jax.study.bench.setup import (
    PRESETS,
    Setup,
    graded_buckets,
    parse_bucket,
    parse_mesh,
    random_criteria,
    random_ids,
)
from traitrl_jax.study.bench.update import begin
from traitrl_jax.study.bench.work import PHASES, decode_bytes, step_flops, tokens_of
from traitrl_jax.text.chat import pad_left

_WARM_UP = 2  # steps before the clock counts


class Phase(NamedTuple):
    """One row of the table."""

    seconds: float  # median over steps
    share: float  # of the step
    tokens_per_second: float
    gflop: float
    gflops: float  # achieved, 10^9 a second
    slower: float  # seconds over what the ceiling allows for these FLOPs


class Decode(NamedTuple):
    """The rollout without its prompts: a token of every row at a time."""

    seconds: float  # median over steps
    tokens_per_second: float
    gb: float  # that must be read, as decode_bytes counts them
    gb_per_second: float
    share: float  # of the read ceiling


def _compiled(seconds: dict[str, float], name: str, function: Callable, *args) -> Callable:
    """The program for these arguments; the time it took to compile is added to `seconds[name]`."""
    start = time.perf_counter()
    program = (function if hasattr(function, "lower") else jax.jit(function)).lower(*args).compile()
    seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - start
    return program


def _steps(setup: Setup, compiling: dict[str, float]) -> Iterator[dict[str, float]]:
    """Train for ever; yields the seconds of every step's phases and, beside the step, of the prompts alone ("prefill").
    Compiles in the first step."""
    rl, model = setup.rl, Decoder(setup.model, setup.vocabulary)
    key, rng = jax.random.key(0), np.random.default_rng(0)
    state, frozen, reference = begin(setup, model)
    to_grade = graded_buckets(setup)
    head = create(lambda f: init_head(f, setup.model.width), frozen) if any(to_grade) else None
    programs = compile_programs(model, rl)

    def run_sample(trainable, frozen, tokens, valid, keys, reply: int):
        params, prefix = materialise(rl.adapt, trainable, frozen)
        return sample(model, params, prefix, tokens, valid, keys, reply, rl.temperature, stops=(-1,))

    def batch(b: Bucket):
        ids = partial(random_ids, rng, setup.vocabulary)
        tokens, valid = pad_left([ids(b.prompt) for _ in range(b.rows)], b.prompt)
        drawn = rng.random(b.rows, np.float32)
        return jax.device_put((tokens, valid, drawn, random_criteria(rng, setup.vocabulary, b.rows, LINES)))

    samplers, prefills, graders, update = {}, {}, {}, None
    while True:
        clock = [time.perf_counter()]
        key, sampling, shuffling = jax.random.split(key, 3)
        batches = [batch(b) for b in rl.buckets]
        keys = [row_keys(jax.random.fold_in(sampling, i), np.arange(b.rows)) for i, b in enumerate(rl.buckets)]
        jax.block_until_ready((batches, keys))
        clock.append(time.perf_counter())
        replies = []
        drawing = [(state.policy, frozen, *each[:2], row) for each, row in zip(batches, keys, strict=True)]
        for b, args in zip(rl.buckets, drawing, strict=True):
            if b not in samplers:
                samplers[b] = _compiled(compiling, "rollout", partial(run_sample, reply=b.reply), *args)
                prefills[b] = _compiled({}, "prefill", partial(run_sample, reply=1), *args)
            replies.append(samplers[b](*args))
        jax.block_until_ready(replies)
        clock.append(time.perf_counter())
        scores = []
        for b, graded, (tokens, valid, drawn, criteria), reply in zip(rl.buckets, to_grade, batches, replies, strict=True):
            args = (head, tokens, valid, reply.tokens, reply.mask, criteria)
            if graded and b not in graders:
                graders[b] = _compiled(compiling, "grading", partial(grade, model), *args)
            scores.append(graders[b](*args)[0] if graded else drawn)
        jax.block_until_ready(scores)
        clock.append(time.perf_counter())
        rollouts = tuple(
            programs.rollout(tokens, valid, reply, score)
            for (tokens, valid, _, _), reply, score in zip(batches, replies, scores, strict=True)
        )
        start = time.perf_counter()
        jax.block_until_ready([prefills[b](*args) for b, args in zip(rl.buckets, drawing, strict=True)])
        prefill = time.perf_counter() - start
        args = (state, frozen, reference, rollouts, shuffling)
        update = update or _compiled(compiling, "update", programs.update, *args)
        state, metrics = update(*args)
        jax.block_until_ready((state, metrics))
        clock.append(time.perf_counter() - prefill)
        yield dict(zip(PHASES, np.diff(clock).tolist(), strict=True)) | {"prefill": prefill}


def measure(setup: Setup, steps: int) -> dict[str, Any]:
    """Ceilings, phases, decoding and memory as plain values."""
    m, buckets = setup.model, setup.rl.buckets
    tokens = max(b.rows * (b.prompt + b.reply - 1) for b in buckets)
    shapes = [(tokens, m.width, m.mlp), (tokens, m.mlp, m.width), (tokens, m.width, min(setup.vocabulary, 8192))]
    products, reads = [matmul_ceiling(shapes, m.dtype)], [read_ceiling(m.dtype)]
    compiling: dict[str, float] = {}
    mesh = make_mesh(setup.mesh, [b.rows // setup.rl.minibatches // setup.rl.accumulate for b in buckets])
    with use_mesh(mesh):
        running = _steps(setup, compiling)
        for _ in range(_WARM_UP):
            next(running)
        timed = [next(running) for _ in range(steps)]
        running.close()
    products.append(matmul_ceiling(shapes, m.dtype))  # other work on the machine lowers it for a moment
    (ceiling, shape), read = max(products), max(*reads, read_ceiling(m.dtype))
    total = float(np.median([sum(each[name] for name in PHASES) for each in timed]))
    flops, tokens_read = step_flops(setup), tokens_of(setup)
    phases = {}
    for name in (p for p in PHASES if tokens_read[p]):
        seconds = float(np.median([each[name] for each in timed]))
        gflop = flops[name] / 1e9
        slower = seconds * ceiling / gflop if gflop else 0.0
        phases[name] = Phase(seconds, seconds / total, tokens_read[name] / seconds, gflop, gflop / seconds, slower)
    decode = _decoding(setup, mesh, timed, read)
    return {
        **facts(setup),
        "mesh": dict(mesh.shape),
        "ceiling_gflops": ceiling,
        "ceiling_shape": shape,
        "ceiling_gb_per_second": read,
        "steps": steps,
        "step_seconds": total,
        "reply_tokens_per_second": tokens_read["rollout"] / total,
        "phases": {name: phase._asdict() for name, phase in phases.items()},
        "decode": decode and decode._asdict(),
        "compile_seconds": compiling,
        "peak_memory_gb": peak_memory_gb(),
    }


def _decoding(setup: Setup, mesh: jax.sharding.Mesh, timed: list[dict[str, float]], read: float) -> Decode | None:
    """Of the rollout's seconds, those after the prompts; None where replies are single tokens, or where a busy
    machine took longer for the prompts alone."""
    buckets = setup.rl.buckets
    seconds = float(np.median([each["rollout"] - each["prefill"] for each in timed]))
    count = sum(b.rows * (b.reply - 1) for b in buckets)
    if count == 0 or seconds <= 0:
        return None
    gb = sum((b.reply - 1) * decode_bytes(setup, b, mesh.shape["data"] * mesh.shape["fsdp"]) for b in buckets) / 1e9
    return Decode(seconds, count / seconds, gb, gb / seconds, gb / seconds / read)


def bench_ppo(
    config: StudyConfig,
    preset: str = "quick",
    model: str = "",
    bucket: str = "",
    mesh: str = "",
    to: str | None = None,
    steps: int = 5,
) -> str:
    """Measure a preset over `steps` steps after warm-up: a table, or JSON where `to` is "-"; `to` another file has the JSON
    beside the table. Raises UserError for an unknown preset or model, shapes that do not fit, or no steps."""
    if preset not in PRESETS:
        raise unknown("preset", preset, PRESETS)
    if steps < 1:
        raise UserError(f"bench: {steps} steps can not be timed; give at least 1")
    setup = PRESETS[preset](config, model, (parse_bucket(bucket),) if bucket else ())
    found = {"preset": preset} | measure(setup._replace(mesh=parse_mesh(mesh, setup.mesh)), steps)
    return said(found, table, to)


def table(found: dict[str, Any]) -> str:
    """`measure`'s findings as text."""
    lines = [
        *header(found),
        f"preset {found['preset']}; mesh " + " x ".join(f"{axis}={size}" for axis, size in found["mesh"].items()),
        f"ceilings: {found['ceiling_gflops']:.0f} GFLOP/s ({found['ceiling_shape']}), "
        f"{found['ceiling_gb_per_second']:.1f} GB/s read",
        "",
        f"{'phase':<9}{'seconds':>9}{'share':>7}{'tokens/s':>10}{'GFLOP':>9}{'GFLOP/s':>9}"
        f"{'x ceiling time':>16}{'compile s':>11}",
    ]
    for name, values in found["phases"].items():
        p = Phase(**values)
        work = f"{p.gflop:>9.2f}{p.gflops:>9.1f}{p.slower:>16.1f}" if p.gflop else f"{'-':>9}{'-':>9}{'-':>16}"
        compiling = f"{found['compile_seconds'][name]:>11.1f}" if name in found["compile_seconds"] else f"{'-':>11}"
        lines.append(f"{name:<9}{p.seconds:>9.3f}{p.share:>7.0%}{p.tokens_per_second:>10,.0f}{work}{compiling}")
    lines.append("")
    if found["decode"]:
        d = Decode(**found["decode"])
        lines.append(
            f"decoding {d.tokens_per_second:,.0f} tokens/s: {d.gb:.2f} GB to read in {d.seconds:.3f} s are "
            f"{d.gb_per_second:.1f} GB/s, {d.share:.0%} of the ceiling"
        )
    update = found["phases"]["update"]
    lines.append(f"update {update['gflops']:.1f} GFLOP/s, {1 / update['slower']:.0%} of the ceiling")
    return "\n".join(
        [
            *lines,
            f"step {found['step_seconds']:.3f} s (median of {found['steps']}), {found['reply_tokens_per_second']:,.0f} reply "
            f"tokens/s, peak memory {found['peak_memory_gb']:.2f} GB",
        ]
    )
