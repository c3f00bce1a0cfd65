"""A study's programs compiled ahead of time for a TPU slice: `traitrl compile`. Nothing runs and no weight exists.

Rollout, grading, update, the fitting of the head and harmful fine-tuning are made by the same functions as in a study, from
shapes and their places on the slice's mesh. The table says what each takes of a chip and how fast the slice could be; that it
does is for a run to show.
"""

import dataclasses
import math
import sys
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from traitrl_jax.config import Bucket, ModelSpec, StudyConfig, unknown
from traitrl_jax.models import lm
from traitrl_jax.models.adapt import init_trainable
from traitrl_jax.models.families import PUBLISHED, read_spec
from traitrl_jax.models.sampling import row_keys
from traitrl_jax.models.transformer import Decoder
from traitrl_jax.reward.head import Criteria, grade, init_head
from traitrl_jax.reward.scorer import LINE_TOKENS, LINES
from traitrl_jax.rl.loop import compile_programs
from traitrl_jax.rl.update import init_state
from traitrl_jax.runtime.compile.chips import open_slice
from traitrl_jax.runtime.compile.program import compile_cost
from traitrl_jax.runtime.files import write_json_atomic
from traitrl_jax.runtime.mesh import ROWS, make_mesh, placed_shapes
from traitrl_jax.study.ahead_table import Entry, Found, Plan, as_json, search_table, shape_of, table
from traitrl_jax.study.bench.setup import graded_buckets, quick_setup
from traitrl_jax.study.grader import LINE_TOKENS as FITTED_LINE_TOKENS
from traitrl_jax.study.grader import fit_batch, fitting
from traitrl_jax.study.measure import harmful_batch, harmful_tuner
from traitrl_jax.text.tokenizer import ANSWER, END

_STOPS = 2  # tokens that end a reply in published formats


def model_of(config: StudyConfig) -> tuple[ModelSpec, int]:
    """(spec, vocabulary) of the start model: from the downloaded checkpoint or, without it, from the published table by the
    folder's name. Raises UserError where neither knows it."""
    folder = Path(config.pretrained)
    if not config.pretrained:
        return config.model, config.tokenizer.vocabulary
    if (folder / "config.json").is_file():
        spec, vocabulary = read_spec(folder)
    else:
        known = {each.hub.rpartition("/")[2]: each for each in PUBLISHED.values()}
        if folder.name not in known:
            raise unknown(f"checkpoint (there is no {folder / 'config.json'}):", folder.name, known)
        _, spec, vocabulary = known[folder.name]
    own = config.model
    return dataclasses.replace(spec, dtype=own.dtype, flash=own.flash, remat=own.remat, scan=own.scan), vocabulary


def make_plan(config: StudyConfig, topology: str) -> Plan:
    """Raises UserError for a slice or mesh that can not be."""
    chip, devices = open_slice(topology)
    spec, vocabulary = model_of(config)
    setup = quick_setup(dataclasses.replace(config, pretrained="", model=spec))._replace(vocabulary=vocabulary)
    rl = config.rl
    rows = [bucket.rows // rl.minibatches // rl.accumulate for bucket in rl.buckets]
    name = Path(config.pretrained).name or config.name
    return Plan(name, topology, config, setup, bool(config.pretrained), chip, make_mesh(config.mesh, rows, devices))


def _rows(mesh: Mesh, tree: Any) -> Any:
    """Shapes whose rows are split over the mesh."""

    def place(leaf: Any) -> Any:
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=NamedSharding(mesh, PartitionSpec(ROWS)))

    return jax.tree.map(place, tree)


def _prompts(bucket: Bucket) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Prompts, their slots and keys of a bucket."""
    shape = (bucket.rows, bucket.prompt)
    return jnp.zeros(shape, jnp.int32), jnp.ones(shape, bool), row_keys(jax.random.key(0), jnp.arange(bucket.rows))


def _criteria(bucket: Bucket, tokens: int) -> Criteria:
    shape = (bucket.rows, LINES, tokens)
    return Criteria(jnp.zeros(shape, jnp.int32), jnp.ones(shape, bool), jnp.ones(shape[:2]), jnp.ones(shape[:2], bool))


class Program(NamedTuple):
    """One that is to be compiled."""

    name: str
    lower: Callable[[], Any]
    states: int  # bytes on a chip of all that is held while it runs, read or not
    in_step: bool  # part of a step of PPO


def step_programs(plan: Plan) -> Iterator[Program]:
    """Everything of a step of PPO. Within the plan's mesh."""
    (spec, vocabulary, rl, *_), mesh = plan.setup, plan.mesh
    model = Decoder(spec, vocabulary)
    key = jax.eval_shape(lambda: jax.random.key(0))  # its place is not known to the slice's devices
    stops = tuple(range(1, 1 + _STOPS)) if plan.published else (END,)
    frozen = placed_shapes(partial(lm.init_params, model), key)
    reference = placed_shapes(lambda frozen, key: init_trainable(rl.adapt, frozen, rl, key), frozen, key)
    state = placed_shapes(lambda reference, frozen: init_state(rl, reference, frozen, spec.width), reference, frozen)
    head = placed_shapes(lambda frozen: init_head(frozen, spec.width), frozen)
    programs = compile_programs(model, rl, stops)
    grader = jax.jit(partial(grade, model, answer_id=None if plan.published else ANSWER, stops=stops))
    line = 2 * LINE_TOKENS if plan.published else LINE_TOKENS

    during, rollouts = _bytes((frozen, reference, state, head)), []
    for bucket, graded in zip(rl.buckets, graded_buckets(plan.setup), strict=True):
        size = shape_of(bucket)
        tokens, valid, keys = _rows(mesh, jax.eval_shape(partial(_prompts, bucket)))
        args = (state.policy, frozen, tokens, valid, keys, bucket.reply)
        yield Program(f"rollout {size}", partial(programs.sample.lower, *args), during, True)
        replies = _rows(mesh, jax.eval_shape(lambda *a, n=bucket.reply: programs.sample(*a, n), *args[:-1]))
        criteria = _rows(mesh, jax.eval_shape(partial(_criteria, bucket, line)))
        if graded:
            mask = _rows(mesh, jax.eval_shape(lambda replies: replies.mask, replies))
            args = (head, tokens, valid, replies.tokens, mask, criteria)
            yield Program(f"grading {size}", partial(grader.lower, *args), during, True)
        score = _rows(mesh, jax.ShapeDtypeStruct((bucket.rows,), jnp.float32))
        rollouts.append(_rows(mesh, jax.eval_shape(programs.rollout, tokens, valid, replies, score)))
    update = partial(programs.update.lower, state, frozen, reference, tuple(rollouts), key)
    yield Program("update", update, during, True)


def stage_programs(plan: Plan) -> Iterator[Program]:
    """Training steps of the stages before and behind PPO, which train all parameters. Within the plan's mesh."""
    config, line = plan.config, (2 if plan.published else 1) * FITTED_LINE_TOKENS
    model = Decoder(plan.setup.model, plan.setup.vocabulary)
    start = placed_shapes(partial(lm.init_params, model), jax.eval_shape(lambda: jax.random.key(0)))
    for name, (begin, program), batch, held in (
        ("fitting the head", fitting(config, model), fit_batch(config, line), 1),
        ("harmful tuning", harmful_tuner(config, model), (harmful_batch(config),), 2),  # the start model and the subject
    ):
        state = placed_shapes(begin, start)
        rows = _rows(plan.mesh, jax.eval_shape(lambda batch=batch: jax.tree.map(jnp.asarray, batch)))
        yield Program(name, partial(program.lower, state, rows), held * _bytes(start) + _bytes(state), False)


def _bytes(tree: Any) -> int:
    """Of placed shapes, on one device."""

    def one(leaf: Any) -> int:
        shape = leaf.sharding.shard_shape(leaf.shape) if leaf.sharding else leaf.shape
        return leaf.dtype.itemsize * math.prod(shape)

    return sum(map(one, jax.tree.leaves(tree)))


def compile_plan(plan: Plan, step_only: bool = False) -> Found:
    """Compile all programs of a study that hold a training state, or only those of a step of PPO."""
    with jax.set_mesh(plan.mesh):  # also of one chip, which use_mesh would leave to this machine
        entries = []
        for program in chain(step_programs(plan), () if step_only else stage_programs(plan)):
            print(f"compiling {program.name}", file=sys.stderr, flush=True)
            cost = compile_cost(program.name, program.lower())
            entries.append(Entry(cost, program.states, program.in_step))
    return Found(plan, entries)


def compile_ahead(config: StudyConfig, topology: str, search: bool = False, file: str | None = None) -> str:
    """The table, and with `file` the same as JSON. `search`: instead, the largest batch that fits under every remat policy.

    Raises UserError for a slice, mesh or model that can not be, and without libtpu.
    """
    if search:
        return search_table(make_plan(config, topology), partial(compile_plan, step_only=True))
    found = compile_plan(make_plan(config, topology))
    if file:
        write_json_atomic(Path(file), as_json(found))
    return table(found)
