"""What the machine allows, measured: the best matrix product and the fastest read of memory, on all devices at once."""

import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

LARGE = 1024  # side of the large matrices of the ceiling
READ_BYTES = 1 << 28  # of each device's memory: more than any cache holds
_COLUMNS = 4096
_TRIALS = 5


def matmul_ceiling(shapes: list[tuple[int, int, int]], dtype: str) -> tuple[float, str]:
    """(best GFLOP/s, its shape) of products of [rows, inner] and [inner, columns]: large square ones and those given."""
    best = (0.0, "")
    for rows, inner, columns in [(LARGE, LARGE, LARGE), *shapes]:
        a, b = _everywhere((rows, inner), dtype), _everywhere((inner, columns), dtype)
        product = jax.jit(jnp.matmul).lower(a, b).compile()
        seconds = best_seconds(lambda p=product, a=a, b=b: p(a, b), min(100, 3 + 10**9 // (rows * inner * columns)))
        best = max(best, (2e-9 * jax.device_count() * rows * inner * columns / seconds, f"{rows}x{inner}x{columns}"))
    return best


def read_ceiling(dtype: str) -> float:
    """Best GB/s at which arrays larger than the caches are read: summed, or multiplied by a vector from either side."""
    rows = READ_BYTES // _COLUMNS // jnp.dtype(dtype).itemsize
    matrix = _everywhere((rows, _COLUMNS), dtype)
    right, left = _everywhere((_COLUMNS, 1), dtype), _everywhere((1, rows), dtype)
    reads = (
        (lambda m: jnp.sum(m, axis=(1, 2)), (matrix,)),
        (jnp.matmul, (matrix, right)),
        (jnp.matmul, (left, matrix)),
    )
    programs = [(jax.jit(read).lower(*args).compile(), args) for read, args in reads]
    return max(1e-9 * matrix.nbytes / best_seconds(lambda p=p, args=args: p(*args), 2) for p, args in programs)


def best_seconds(run: Callable[[], jax.Array], repeats: int) -> float:
    """Of several trials of `repeats` calls, the seconds of a call in the fastest: other work on the machine only slows it."""
    run().block_until_ready()
    seconds = []
    for _ in range(_TRIALS):
        start = time.perf_counter()
        for _ in range(repeats):
            out = run()
        out.block_until_ready()
        seconds.append((time.perf_counter() - start) / repeats)
    return min(seconds)


def _everywhere(shape: tuple[int, ...], dtype: str) -> jax.Array:
    """Ones of this shape on every device."""
    mesh = Mesh(jax.devices(), ("all",))
    make = jax.jit(lambda: jnp.ones((mesh.size, *shape), dtype), out_shardings=NamedSharding(mesh, PartitionSpec("all")))
    return make()
