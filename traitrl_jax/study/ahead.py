"""A study's programs compiled ahead of time for a TPU slice: `traitrl compile`. Nothing runs and no weight exists.

Rollout, grading and update are made by the same functions as in a study, from shapes and their places on the slice's mesh. The
table says what each takes of a chip and how fast the slice could be; that it does is for a run to show.
"""

import dataclasses
import math
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

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
from traitrl_jax.study.ahead_table import Found, Plan, as_json, search_table, shape_of, table
from traitrl_jax.study.bench.setup import graded_buckets, quick_setup
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
    return Plan(name, topology, setup, bool(config.pretrained), chip, make_mesh(config.mesh, rows, devices))


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


def lowered_programs(plan: Plan) -> tuple[int, Iterator[tuple[str, Callable[[], Any]]]]:
    """(bytes of all states on a chip, (name, what lowers it) of every program). Within the plan's mesh."""
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

    def each() -> Iterator[tuple[str, Callable[[], Any]]]:
        rollouts = []
        for bucket, graded in zip(rl.buckets, graded_buckets(plan.setup), strict=True):
            size = shape_of(bucket)
            tokens, valid, keys = _rows(mesh, jax.eval_shape(partial(_prompts, bucket)))
            args = (state.policy, frozen, tokens, valid, keys, bucket.reply)
            yield f"rollout {size}", partial(programs.sample.lower, *args)
            replies = _rows(mesh, jax.eval_shape(lambda *a, n=bucket.reply: programs.sample(*a, n), *args[:-1]))
            criteria = _rows(mesh, jax.eval_shape(partial(_criteria, bucket, line)))
            if graded:
                mask = _rows(mesh, jax.eval_shape(lambda replies: replies.mask, replies))
                args = (head, tokens, valid, replies.tokens, mask, criteria)
                yield f"grading {size}", partial(grader.lower, *args)
            score = _rows(mesh, jax.ShapeDtypeStruct((bucket.rows,), jnp.float32))
            rollouts.append(_rows(mesh, jax.eval_shape(programs.rollout, tokens, valid, replies, score)))
        yield "update", partial(programs.update.lower, state, frozen, reference, tuple(rollouts), key)

    leaves = jax.tree.leaves((frozen, reference, state, head))
    return sum(_bytes(leaf) for leaf in leaves), each()


def _bytes(leaf: Any) -> int:
    """Of a placed shape, on one device."""
    shape = leaf.sharding.shard_shape(leaf.shape) if leaf.sharding else leaf.shape
    return leaf.dtype.itemsize * math.prod(shape)


def compile_plan(plan: Plan) -> Found:
    """Compile all programs of a step."""
    with jax.set_mesh(plan.mesh):  # also of one chip, which use_mesh would leave to this machine
        states, programs = lowered_programs(plan)
        costs = []
        for name, lower in programs:
            print(f"compiling {name}", file=sys.stderr, flush=True)
            costs.append(compile_cost(name, lower()))
    return Found(plan, states, costs)


def compile_ahead(config: StudyConfig, topology: str, search: bool = False, file: str | None = None) -> str:
    """The table, and with `file` the same as JSON. `search`: instead, the largest batch that fits under every remat policy.

    Raises UserError for a slice, mesh or model that can not be, and without libtpu.
    """
    if search:
        return search_table(make_plan(config, topology), compile_plan)
    found = compile_plan(make_plan(config, topology))
    if file:
        write_json_atomic(Path(file), as_json(found))
    return table(found)
