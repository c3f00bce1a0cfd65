"""The device mesh and where arrays lie on it: axes data, fsdp and tensor, and (regex, rule) pairs over whole state trees.

Models carry no sharding annotations. A leaf's path decides: the optimiser's moments of a matrix end in the matrix's own name,
so one table serves parameters, adapters and optimiser states. Within `use_mesh` the constraints below act; without, and on
one device, they do nothing.
"""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from traitrl_jax.config import MeshConfig, UserError
from traitrl_jax.runtime import processes

AXES = ("data", "fsdp", "tensor")
ROWS = ("data", "fsdp")  # axes over which a batch's rows are split
_IN, _OUT = "fsdp", "tensor"
# First match from the top, by the end of the path. Linear maps: inputs over fsdp, heads or inner units over tensor, and the
# other way round for the maps back, so that a pair of products needs one reduction (Megatron, Shoeybi et al. 2019).
RULES: tuple[tuple[str, tuple[str | None, ...]], ...] = (
    (r"embedding$", (_OUT, _IN)),
    (r"layer_\d+/w[qkv]$", (_IN, _OUT, None)),
    (r"layer_\d+/wo$", (_OUT, None, _IN)),
    (r"layer_\d+/w_(gate|up)$", (_IN, _OUT)),
    (r"layer_\d+/w_down$", (_OUT, _IN)),
    (r"layer_\d+/w\w+/down$", (_IN, None)),  # low-rank adapters
    (r"layer_\d+/w\w+/up$", (None, _OUT)),
    (r"mix(_\w+)?$", (_IN, _OUT)),
    (r"head$", (_IN, _OUT)),
)


def choose_axes(config: MeshConfig, devices: int, rows: Sequence[int]) -> tuple[int, int, int]:
    """(data, fsdp, tensor) for so many devices. An axis that the config leaves at 0 is chosen: fsdp takes all devices that
    divide the rows of every batch, tensor the rest, and data is 1.

    Raises UserError if the axes do not multiply to the devices, or rows can not be split.
    """
    given = {axis: size for axis, size in zip(AXES, (config.data, config.fsdp, config.tensor), strict=True) if size}
    rest, uneven = divmod(devices, math.prod(given.values()))
    if uneven or (len(given) == len(AXES) and rest != 1):
        shape = " x ".join(f"{axis}={given.get(axis, '?')}" for axis in AXES)
        raise UserError(f"mesh {shape} does not fit {devices} devices: the axes must multiply to {devices} (0: chosen)")
    free = [axis for axis in ("fsdp", "tensor", "data") if axis not in given]
    if "fsdp" in free and "tensor" in free:
        data = given.get("data", 1)
        given["fsdp"] = math.gcd(rest, *(count // math.gcd(count, data) for count in rows))
        given["tensor"] = rest // given["fsdp"]
    elif free:
        given[free[0]] = rest
    sizes = tuple(given.get(axis, 1) for axis in AXES)
    split = sizes[0] * sizes[1]
    for count in rows:
        if count % split:
            raise UserError(f"mesh: {count} rows of a batch can not be split over data x fsdp = {split}; change rows or mesh")
    return sizes


def make_mesh(config: MeshConfig, rows: Sequence[int], devices: Sequence[Any] | None = None) -> Mesh:
    """The mesh over all devices, or `devices`. `rows`: of the batches of a step, which it must divide."""
    devices = list(devices if devices is not None else jax.devices())
    sizes = choose_axes(config, len(devices), rows)
    return jax.make_mesh(sizes, AXES, devices=devices, axis_types=(AxisType.Auto,) * len(AXES))


@contextmanager
def use_mesh(mesh: Mesh) -> Iterator[None]:
    """Within it, programs are partitioned over the mesh. One device needs no partitioning."""
    if mesh.size == 1:
        yield
        return
    with jax.set_mesh(mesh):
        yield


def spec_for(path: str, shape: tuple[int, ...], mesh: Any, drop: tuple[str, ...] = ()) -> PartitionSpec:
    """Where a leaf of this path and shape lies. An axis that does not divide its dimension is left out (few key heads over many
    devices are replicated), and so are those in `drop`."""
    rule = next((axes for pattern, axes in RULES if re.search(pattern, path) and len(axes) == len(shape)), ())
    fits = (axis and axis not in drop and size % mesh.shape[axis] == 0 for axis, size in zip(rule, shape, strict=False))
    return PartitionSpec(*(axis if fit else None for axis, fit in zip(rule, fits, strict=False)))


def _map(function: Callable[[str, Any], Any], tree: Any) -> Any:
    def named(path, leaf):
        return function(jax.tree_util.keystr(path, simple=True, separator="/"), leaf)

    return jax.tree_util.tree_map_with_path(named, tree)


def tree_shardings(tree: Any) -> Any:
    """Shardings of a state tree (arrays or shapes) on the mesh in use; None without one."""
    mesh = _current()
    if mesh is None:
        return None
    return _map(lambda path, leaf: NamedSharding(mesh, spec_for(path, leaf.shape, mesh)), tree)


def placed_shapes(function: Callable[..., Any], *args: Any) -> Any:
    """Shapes, types and, on a mesh, shardings of function(*args): what a checkpoint is restored to."""
    shapes = jax.eval_shape(function, *args)
    shardings = tree_shardings(shapes)
    if shardings is None:
        return shapes
    return jax.tree.map(lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), shapes, shardings)


def create(function: Callable[..., Any], *args: Any) -> Any:
    """function(*args); on a mesh its result is born in its place, so that nothing is ever whole on one device. Without one it
    is committed to the first device, as restored and computed states are: another placement is another program to compile."""
    if not _active():
        return jax.device_put(function(*args), jax.devices()[0])
    return jax.jit(function, out_shardings=tree_shardings(jax.eval_shape(function, *args)))(*args)


def constrain_tree(tree: Any, drop: tuple[str, ...] = ()) -> Any:
    """Inside a program: keep a state tree in its place. With drop=("fsdp",) it is the layout of decoding, which gathers weights
    once a step and not once a token."""
    if not _active():
        return tree
    mesh = jax.sharding.get_abstract_mesh()

    def place(path: str, leaf: Any) -> Any:
        return jax.lax.with_sharding_constraint(leaf, spec_for(path, leaf.shape, mesh, drop))

    return _map(place, tree)


def constrain_rows(tree: Any) -> Any:
    """Inside a program: split the leading axis of every leaf over data and fsdp, where it divides."""
    if not _active():
        return tree
    mesh = jax.sharding.get_abstract_mesh()

    def place(leaf: Any) -> Any:
        even = leaf.ndim and leaf.shape[0] % (mesh.shape["data"] * mesh.shape["fsdp"]) == 0
        return jax.lax.with_sharding_constraint(leaf, PartitionSpec(ROWS)) if even else leaf

    return jax.tree.map(place, tree)


def feed_rows(tree: Any) -> Any:
    """Host arrays that every process has made whole and alike, as inputs of a program: with several processes each puts only
    its own devices' rows on them (all rows, where they do not divide); one process gives them to the program as they are."""
    mesh = _current()
    if mesh is None or processes.count() == 1:
        return tree

    def place(leaf: np.ndarray) -> jax.Array:
        even = leaf.ndim and leaf.shape[0] % (mesh.shape["data"] * mesh.shape["fsdp"]) == 0
        sharding = NamedSharding(mesh, PartitionSpec(ROWS) if even else PartitionSpec())
        return jax.make_array_from_callback(leaf.shape, sharding, lambda index: leaf[index])

    return jax.tree.map(place, tree)


def to_host(tree: Any) -> Any:
    """jax.device_get, also of arrays that lie over several processes: then all must ask, and all get the whole arrays."""
    mesh = _current()
    if mesh is not None and processes.count() > 1:
        whole = NamedSharding(mesh, PartitionSpec())
        tree = jax.tree.map(lambda leaf: _spread(leaf, whole) if _is_remote(leaf) else leaf, tree)
    return jax.device_get(tree)


def _is_remote(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and not (leaf.is_fully_addressable or leaf.is_fully_replicated)


@partial(jax.jit, static_argnums=1)
def _spread(leaf: jax.Array, sharding: NamedSharding) -> jax.Array:
    return jax.lax.with_sharding_constraint(leaf, sharding)


def shards() -> int:
    """Devices of the mesh in use; 1 without one."""
    return math.prod(jax.sharding.get_abstract_mesh().shape.values())


def on_tpu() -> bool:
    """Are programs for TPUs: those of the mesh in use, or else of this machine?"""
    device = jax.sharding.get_abstract_mesh().abstract_device
    return "TPU" in device.device_kind if device else jax.default_backend() == "tpu"


def _active() -> bool:
    return not jax.sharding.get_abstract_mesh().empty


def _current() -> Mesh | None:
    return jax.sharding.get_mesh() if _active() else None
