"""Attention of whole sequences on a TPU by jax's own Pallas kernel (splash attention): block by block, so that no array of
scores exists, and blocks that nothing may see are skipped.

The kernel's masks are static or say which slots are of one segment. That covers rows of one run of real slots with padding
around it, and local layers. It can not say "a segment that all others see too" (criteria behind one conversation,
`Context.shared`): there the dense mask of models/attention.py is used, and so it is for single tokens, in decoding.

Shapes: B batch, T slots, N heads, G key and value heads, H head size.
"""

from functools import partial

import flax.struct
import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec
from jaxtyping import Array, Bool, Float

from traitrl_jax.runtime.mesh import ROWS

_BLOCKS = (512, 256, 128)  # slots; the kernel takes multiples of 128


@flax.struct.dataclass
class Run:
    """In place of a mask: every row is one run of real slots, each of which sees those not after it."""

    valid: Bool[Array, "B T"]
    local: Bool[Array, ""]  # within the window only?
    window: int = flax.struct.field(pytree_node=False)  # 0: there are no local layers


def flash(
    q: Float[Array, "B N T H"],
    k: Float[Array, "B G T H"],
    v: Float[Array, "B G T H"],
    run: Run,
    cap: float,
    interpret: bool = False,
) -> Float[Array, "B N T H"]:
    """attention.attend for a Run; what stands at padding is of no meaning. On a mesh every device takes its rows and heads.
    `interpret` runs it anywhere, slowly."""
    mesh = jax.sharding.get_abstract_mesh()
    one = partial(_flash, window=run.window, cap=cap, interpret=interpret)
    if mesh.empty:
        return one(q, k, v, run.valid, run.local)
    rows = ROWS if q.shape[0] % (mesh.shape["data"] * mesh.shape["fsdp"]) == 0 else None
    heads = "tensor" if k.shape[1] % mesh.shape["tensor"] == 0 else None
    split = PartitionSpec(rows, heads)
    places = (split, split, split, PartitionSpec(rows), PartitionSpec())
    return jax.shard_map(one, mesh=mesh, in_specs=places, out_specs=split, check_vma=False)(q, k, v, run.valid, run.local)


def _flash(q, k, v, valid, local, window: int, cap: float, interpret: bool) -> jax.Array:
    """On one device."""
    from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_kernel as kernels  # a second to import
    from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_mask as masks

    heads, length = q.shape[1], q.shape[2]
    pad = -length % _BLOCKS[-1]
    whole = length + pad
    q, k, v = (jnp.pad(a, ((0, 0), (0, 0), (0, pad), (0, 0))) for a in (q, k, v))
    segments = jnp.pad(valid, ((0, 0), (0, pad))).astype(jnp.int32)  # padding sees padding, so that no softmax is empty
    size = next(block for block in _BLOCKS if whole % block == 0)
    names = ("q", "kv", "kv_compute", "q_dkv", "kv_dkv", "kv_dkv_compute", "q_dq", "kv_dq")
    sizes = kernels.BlockSizes(**{f"block_{name}": size for name in names})

    def kernel(mask):
        made = kernels.make_splash_mha_single_device(
            mask=masks.MultiHeadMask([mask] * heads),
            block_sizes=sizes,
            attn_logits_soft_cap=cap or None,
            interpret=interpret,
        )
        return jax.vmap(lambda q, k, v, s: made(q, k, v, segment_ids=kernels.SegmentIds(s, s)))

    far = kernel(masks.CausalMask((whole, whole)))
    if 0 < window < whole:
        near = kernel(masks.LocalMask((whole, whole), (window - 1, 0), 0))
        out = jax.lax.cond(local, near, far, q, k, v, segments)
    else:
        out = far(q, k, v, segments)
    return out[:, :, :length]
