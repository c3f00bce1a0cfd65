"""What `traitrl compile` found, as a table with a verdict, as JSON, and the search for the largest batch."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
from jax.sharding import Mesh

from traitrl_jax.config import Bucket, StudyConfig
from traitrl_jax.models.families import count_parameters
from traitrl_jax.models.layer import KEEP
from traitrl_jax.runtime.compile.chips import Chip
from traitrl_jax.runtime.compile.program import Cost
from traitrl_jax.runtime.files import versions
from traitrl_jax.study.bench.setup import Setup
from traitrl_jax.study.bench.work import step_flops

_FREE = 0.05  # of a chip's memory: left to the runtime, to programs and to gaps between buffers
_GIB = 1 << 30
_ROWS_OF = {"fitting the head": "grader.batch", "harmful tuning": "attack.batch"}
_LARGEST = 64  # times the rows of the config: where the search ends


class Plan(NamedTuple):
    """What is compiled, and for which slice."""

    name: str
    topology: str
    config: StudyConfig
    setup: Setup
    published: bool
    chip: Chip
    mesh: Mesh


class Entry(NamedTuple):
    """A compiled program in its surroundings."""

    cost: Cost
    states: int  # bytes on a chip of what is held while it runs: policy, value, optimisers, reference, grader, start model
    in_step: bool  # part of a step of PPO, which time and MFU are told of

    @property
    def total(self) -> int:
        """Bytes on a chip while this program runs, with the states that it does not read."""
        return self.states + self.cost.beside


class Found(NamedTuple):
    """What compiling found."""

    plan: Plan
    entries: list[Entry]

    @property
    def room(self) -> float:
        """Bytes of a chip that may be filled."""
        return (1 - _FREE) * self.plan.chip.memory

    @property
    def fits(self) -> bool:
        return not any(entry.cost.refused or entry.total > self.room for entry in self.entries)

    @property
    def floor(self) -> float:
        """Seconds that a step takes at least."""
        return sum(entry.cost.floor(self.plan.chip) for entry in self.entries if entry.in_step)

    @property
    def mfu(self) -> float:
        """Model FLOPs (study/bench/work.step_flops: nothing recomputed) over what the chips could do in the step's floor."""
        chips = self.plan.mesh.size
        return sum(step_flops(self.plan.setup).values()) / (chips * self.plan.chip.flops * self.floor) if self.floor else 0.0


def shape_of(bucket: Bucket) -> str:
    """Rows x (prompt + reply)."""
    return f"{bucket.rows} x ({bucket.prompt} + {bucket.reply})"


def _level() -> str:
    """How much the compiler optimised: O0 ... O3, or as it does by itself."""
    level = str(jax.config.jax_optimization_level)
    return "as usual" if level == "UNKNOWN" else level


def _axes(mesh: Mesh) -> str:
    return " x ".join(f"{axis}={size}" for axis, size in mesh.shape.items())


def as_json(found: Found) -> dict[str, Any]:
    """Everything of the table as plain values."""
    plan, chip = found.plan, found.plan.chip
    programs = [
        cost._asdict()
        | {
            "collectives": {kind: each._asdict() for kind, each in cost.collectives.items()},
            "states": entry.states,
            "total": entry.total,
            "in_step": entry.in_step,
            "seconds": cost.seconds(chip),
        }
        for entry in found.entries
        for cost in [entry.cost]
    ]
    return {
        "model": plan.name,
        "topology": plan.topology,
        "versions": versions(),
        "optimised": _level(),
        "chip": chip._asdict(),
        "mesh": dict(plan.mesh.shape),
        "spec": dataclasses.asdict(plan.setup.model) | {"vocabulary": plan.setup.vocabulary},
        "rl": dataclasses.asdict(plan.setup.rl),
        "programs": programs,
        "step_seconds": found.floor,
        "mfu": found.mfu,
        "fits": found.fits,
    }


def table(found: Found) -> str:
    """Per program: memory of a chip, work, and the least time of products, memory and network; then step and verdict."""
    plan, chip = found.plan, found.plan.chip
    spec, rl = plan.setup.model, plan.setup.rl
    wide = max(len(entry.cost.name) for entry in found.entries)
    head = ("CPU s", "states", "arguments", "temps", "output", "chip GiB", "GFLOP", "GB moved", "products", "memory", "network")
    lines = [
        f"{plan.name} on {plan.topology}: {plan.mesh.size} chips of {chip.memory / _GIB:.0f} GiB, mesh {_axes(plan.mesh)}",
        f"{count_parameters(spec, plan.setup.vocabulary) / 1e9:.2f}e9 parameters, {spec.dtype}, remat {spec.remat}, "
        f"rl.adapt {rl.adapt}, {rl.epochs} epochs of {rl.minibatches} x {rl.accumulate} parts",
        f"optimised: {_level()}",
        "",
        f"{'program':<{wide}}" + "".join(f"{word:>10}" for word in head),
    ]
    for entry in found.entries:
        cost = entry.cost
        if cost.refused:
            lines.append(f"{cost.name:<{wide}}{cost.compile_seconds:>10.0f}  refused: {cost.refused}")
            continue
        memory = (entry.states, cost.arguments, cost.temporaries, cost.output - cost.aliased, entry.total)
        work = (cost.flops / 1e9, cost.moved / 1e9, *cost.seconds(chip).values())
        lines.append(
            f"{cost.name:<{wide}}{cost.compile_seconds:>10.0f}"
            + "".join(f"{each / _GIB:>10.2f}" for each in memory)
            + "".join(f"{each:>10.0f}" for each in work[:2])
            + "".join(f"{each:>9.3f}s" for each in work[2:])
        )
    lines += ["", *_collectives(found), *_verdict(found)]
    return "\n".join(lines)


def _collectives(found: Found) -> Iterator[str]:
    for cost in (entry.cost for entry in found.entries):
        each = [f"{c.count} {kind} {c.bytes / 1e9:.2f} GB" for kind, c in cost.collectives.items()]
        yield f"collectives of {cost.name}, a chip: {', '.join(each) or 'none'}"
        if cost.token_gathers:
            count, largest, weights = cost.token_gathers
            others = f"; {count - weights} of activations, at most {largest / 1e6:.2f} MB" if count > weights else ""
            yield f"  per token: {weights or 'no'} all-gather of weights{others}"


def _verdict(found: Found) -> Iterator[str]:
    chip = found.plan.chip
    refused = [entry for entry in found.entries if entry.cost.refused]
    if not any(entry.in_step for entry in refused):
        yield (
            f"step: at least {found.floor:.2f} s (the slowest of products, memory and network in every program of it), "
            f"MFU at most {found.mfu:.0%}; nothing ran on a TPU"
        )
    worst = refused[0] if refused else max(found.entries, key=lambda entry: entry.total)
    if found.fits:
        yield f"fits: at most {worst.total / _GIB:.2f} of {chip.memory / _GIB:.0f} GiB, in {worst.cost.name}"
    else:
        size = worst.cost.refused or f"{worst.total / _GIB:.2f} of {chip.memory / _GIB:.0f} GiB"
        yield f"does not fit: {worst.cost.name} takes {size}; {'; or '.join(_remedies(found, worst))}"


def _remedies(found: Found, worst: Entry) -> Iterator[str]:
    """What to change, what costs least first."""
    spec, rl, name = found.plan.setup.model, found.plan.setup.rl, worst.cost.name
    rows = min(bucket.rows // rl.minibatches // rl.accumulate for bucket in rl.buckets)
    if worst.states < found.room:
        if spec.remat != "full":
            yield "set model.remat=full"
        split = found.plan.mesh.shape["data"] * found.plan.mesh.shape["fsdp"]
        if name == "update" and rows % 2 == 0 and rows // 2 % split == 0:
            yield f"raise rl.accumulate to {2 * rl.accumulate}"
        if name.startswith("rollout") or not worst.in_step:  # both hold whole matrices, split over this axis alone
            yield f"raise mesh.tensor to {2 * found.plan.mesh.shape['tensor']}"
        yield "give a bucket fewer rows" if worst.in_step else f"lower {_ROWS_OF[name]}"
    if worst.in_step and rl.adapt == "all":
        yield "set rl.adapt=lora"
    if worst.in_step and not rl.shared_trunk:
        yield "set rl.shared_trunk=true"
    yield "take a larger slice"


def search_table(plan: Plan, compiled: Callable[[Plan], Found]) -> str:
    """The largest multiple (a power of two) of the config's rows that fits, under every remat policy."""
    lines = [f"{plan.name} on {plan.topology}, mesh {_axes(plan.mesh)}: the most rows that fit, by doubling"]
    for remat in ("none", *KEEP):
        best, times = None, 1
        while times <= _LARGEST:
            found = compiled(_scaled(plan, remat, times))
            if not found.fits:
                break
            best, times = found, 2 * times
        if best is None:
            lines.append(f"remat {remat:<5} not even the config's own rows")
        else:
            rows = ", ".join(shape_of(bucket) for bucket in best.plan.setup.rl.buckets)
            worst = max(entry.total for entry in best.entries) / _GIB
            lines.append(
                f"remat {remat:<5} {rows}: {worst:.2f} GiB, step at least {best.floor:.2f} s, MFU at most {best.mfu:.0%}"
            )
    return "\n".join(lines)


def _scaled(plan: Plan, remat: str, times: int) -> Plan:
    """The plan with so many times the rows, on the same mesh."""
    setup = plan.setup
    buckets = tuple(dataclasses.replace(bucket, rows=times * bucket.rows) for bucket in setup.rl.buckets)
    setup = setup._replace(
        model=dataclasses.replace(setup.model, remat=remat),
        rl=dataclasses.replace(setup.rl, buckets=buckets),
        graded=times * setup.graded,
    )
    return plan._replace(setup=setup)
