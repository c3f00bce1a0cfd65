"""One PPO update of any size, with what it holds in memory: `traitrl bench update`.

Nothing else runs in the process, so that its peak memory is the update's. Replies and scores are random.
"""

import time
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from traitrl_jax.config import Bucket, StudyConfig, UserError
from traitrl_jax.models.adapt import hold, init_trainable
from traitrl_jax.models.transformer import Decoder
from traitrl_jax.rl.loop import compile_programs
from traitrl_jax.rl.rollout import Rollout
from traitrl_jax.rl.update import TrainState, init_state
from traitrl_jax.runtime.files import peak_memory_gb
from traitrl_jax.runtime.mesh import create, make_mesh, use_mesh
from traitrl_jax.study.bench.output import facts, header, said
from traitrl_jax.study.bench.setup import Setup, parse_bucket, parse_mesh, quick_setup, random_ids, random_params
from traitrl_jax.study.bench.work import update_flops


def begin(setup: Setup, model: Decoder) -> tuple[TrainState, Any, Any]:
    """(state before the first step, the frozen start model, the reference). The start model is held once."""
    rl, width = setup.rl, setup.model.width
    frozen = hold(random_params(model), rl.reference_dtype)
    fresh = partial(init_trainable, rl.adapt, config=rl, key=jax.random.key(1))
    state = create(lambda frozen: init_state(rl, fresh(frozen), frozen, width), frozen)
    return state, frozen, frozen if rl.adapt == "all" else create(fresh, frozen)


def random_rollout(rng: np.random.Generator, b: Bucket, vocabulary: int) -> Rollout:
    """A bucket without padding, with scores in [0, 1)."""
    prompt, reply = (random_ids(rng, vocabulary, b.rows, n) for n in (b.prompt, b.reply))
    return Rollout(
        prompt=jnp.array(prompt),
        prompt_valid=jnp.ones(prompt.shape, bool),
        reply=jnp.array(reply),
        mask=jnp.ones(reply.shape, bool),
        sampler_logprobs=jnp.zeros(reply.shape),
        score=jnp.array(rng.random(b.rows, np.float32)),
    )


def gigabytes(tree: Any) -> float:
    """Of all leaves, as held."""
    return sum(leaf.nbytes for leaf in jax.tree.leaves(tree)) / 1e9


def measure(setup: Setup, steps: int) -> dict[str, Any]:
    """Seconds, what is held, compiled sizes and the process's peak memory, as plain values."""
    rl, model, rng = setup.rl, Decoder(setup.model, setup.vocabulary), np.random.default_rng(0)
    with use_mesh(make_mesh(setup.mesh, [b.rows // rl.minibatches // rl.accumulate for b in rl.buckets])):
        state, frozen, reference = begin(setup, model)
        held = {
            "start model": gigabytes(frozen),
            "policy and value model": gigabytes((state.policy, state.value)),
            "moments": gigabytes((state.policy_optimizer, state.value_optimizer)),
        }
        rollouts = tuple(random_rollout(rng, b, setup.vocabulary) for b in rl.buckets)
        start = time.perf_counter()
        key = jax.random.key(2)
        program = compile_programs(model, rl).update.lower(state, frozen, reference, rollouts, key).compile()
        compiling, seconds = time.perf_counter() - start, []
        for _ in range(steps):
            start = time.perf_counter()
            state, metrics = program(state, frozen, reference, rollouts, key)
            jax.block_until_ready((state, metrics))
            seconds.append(time.perf_counter() - start)
    sizes, gflop = program.memory_analysis(), sum(update_flops(setup, b) for b in rl.buckets) / 1e9
    return facts(setup) | {
        "remat": setup.model.remat,
        "accumulate": rl.accumulate,
        "reference_dtype": rl.reference_dtype,
        "shared_trunk": rl.shared_trunk,
        "epochs": rl.epochs,
        "held_gb": held,
        "arguments_gb": sizes.argument_size_in_bytes / 1e9,
        "temporaries_gb": sizes.temp_size_in_bytes / 1e9,
        "compile_seconds": compiling,
        "seconds": seconds,
        "finite": float(metrics["finite"]),
        "gflop": gflop,
        "gflops": gflop / min(seconds),
        "peak_memory_gb": peak_memory_gb(),
    }


def bench_update(
    config: StudyConfig, model: str = "", bucket: str = "", mesh: str = "", to: str | None = None, steps: int = 1
) -> str:
    """Compile and run the update of one bucket, or of the config's; `to` as in output.said. Raises UserError for an unknown
    model, shapes that do not fit, or no steps."""
    if steps < 1:
        raise UserError(f"bench: {steps} steps can not be timed; give at least 1")
    setup = quick_setup(config, model, (parse_bucket(bucket),) if bucket else ())
    return said(measure(setup._replace(mesh=parse_mesh(mesh, setup.mesh)), steps), _table, to)


def _table(found: dict[str, Any]) -> str:
    value = "a head" if found["shared_trunk"] else "adapters" if found["adapt"] == "lora" else "a network"
    held = ", ".join(f"{name} {gb:.2f} GB" for name, gb in found["held_gb"].items())
    return "\n".join(
        [
            *header(found),
            f"{found['epochs']} epochs, accumulate {found['accumulate']}, remat {found['remat']}, start model in "
            f"{found['reference_dtype']}, value model: {value}",
            "",
            f"held: {held}; compiled: arguments {found['arguments_gb']:.2f} GB, temporaries {found['temporaries_gb']:.2f} GB",
            f"update {min(found['seconds']):.1f} s (best of {len(found['seconds'])}; compiled in "
            f"{found['compile_seconds']:.0f} s), {found['gflop']:,.0f} GFLOP at {found['gflops']:.1f} GFLOP/s, "
            f"finite {found['finite']:.0f}",
            f"peak memory of the process {found['peak_memory_gb']:.2f} GB",
        ]
    )
