"""One layer of the decoder: attention and MLP, with the parts that the spec asks for.

Shapes: B batch, T query slots, S key slots, D width, N heads, G key and value heads, H head size, M mlp width.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from traitrl_jax.config import ModelSpec
from traitrl_jax.models.attention import attend, norm, rope
from traitrl_jax.models.flash import Run, flash

_FUSED = 512  # width below which q, k and v are one product: faster where it is small, but sharded weights must stay apart
KEEP = {  # what a layer keeps for the backward pass, by ModelSpec.remat
    "dots": jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
    "full": jax.checkpoint_policies.nothing_saveable,
}


def key_heads(spec: ModelSpec) -> int:
    """Key and value heads of a layer."""
    return spec.kv_heads or spec.heads


class Layer(nn.Module):
    """Attention and MLP with pre-norms, and post-norms where the family has them."""

    spec: ModelSpec

    def setup(self):
        s, scale = self.spec, nn.initializers.normal(self.spec.width**-0.5)
        small = nn.initializers.normal((2 * s.layers * s.width) ** -0.5)
        self.norm_attention = self._norm_param("norm_attention", s.width)
        self.norm_mlp = self._norm_param("norm_mlp", s.width)
        if s.post_norms:
            self.norm_attention_out = self._norm_param("norm_attention_out", s.width)
            self.norm_mlp_out = self._norm_param("norm_mlp_out", s.width)
        if s.qk_norm:
            self.norm_query = self._norm_param("norm_query", s.head_dim)
            self.norm_key = self._norm_param("norm_key", s.head_dim)
        self.wq = self._weight("wq", scale, (s.width, s.heads, s.head_dim))
        self.wk = self._weight("wk", scale, (s.width, key_heads(s), s.head_dim))
        self.wv = self._weight("wv", scale, (s.width, key_heads(s), s.head_dim))
        copies = s.copying and key_heads(s) == s.heads  # attention begins by copying what it reads
        self.wo = self._weight("wo", self._copy if copies else small, (s.heads, s.head_dim, s.width))
        if s.gated:
            self.w_gate = self._weight("w_gate", scale, (s.width, s.mlp))
        self.w_up = self._weight("w_up", scale, (s.width, s.mlp))
        self.w_down = self._weight("w_down", small, (s.mlp, s.width))

    def _weight(self, name: str, init, shape: tuple[int, ...]) -> jax.Array:
        return self.param(name, init, shape).astype(self.spec.dtype)

    def _copy(self, key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        return 0.5 * jnp.transpose(self.wv, (1, 2, 0)).astype(jnp.float32)

    def _norm_param(self, name: str, size: int) -> jax.Array:
        return norm_scale(self, self.spec, name, size)

    def project(
        self, x: Float[Array, "B T D"], positions: Int[Array, "B T"], frequency: Float[Array, " half"]
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Queries (scaled) [B, N, T, H], keys and values [B, G, T, H]; `frequency` as in rope."""
        s, y = self.spec, norm(x, self.norm_attention, self.spec.norm_eps)
        scale = (s.query_scale or s.head_dim) ** -0.5
        if s.width >= _FUSED or s.qk_norm:
            q, k, v = (jnp.einsum("btd,dnh->bnth", y, w) for w in (self.wq, self.wk, self.wv))
            if s.qk_norm:
                q, k = norm(q, self.norm_query, s.norm_eps), norm(k, self.norm_key, s.norm_eps)
            return rope(q, positions, frequency) * scale, rope(k, positions, frequency), v
        weights = jnp.concatenate([self.wq, self.wk, self.wv], axis=1)  # [D, N + 2G, H]
        heads = (y @ weights.reshape(s.width, -1)).reshape(*y.shape[:2], *weights.shape[1:])
        heads = jnp.swapaxes(heads, 1, 2)  # [B, N + 2G, T, H]
        turned = rope(heads[:, : s.heads + key_heads(s)], positions, frequency)
        return turned[:, : s.heads] * scale, turned[:, s.heads :], heads[:, s.heads + key_heads(s) :]

    def finish(self, x: Float[Array, "B T D"], attended: Float[Array, "B N T H"]) -> jax.Array:
        """Output projection, then the MLP, both with residuals."""
        s = self.spec
        out = jnp.einsum("bnth,nhd->btd", attended, self.wo)
        x = x + (norm(out, self.norm_attention_out, s.norm_eps) if s.post_norms else out)
        y = norm(x, self.norm_mlp, s.norm_eps)
        if s.gated:
            inner = (jax.nn.silu if s.activation == "silu" else jax.nn.gelu)(y @ self.w_gate) * (y @ self.w_up)
        else:
            inner = jnp.square(jax.nn.relu(y @ self.w_up))
        out = inner @ self.w_down
        return x + (norm(out, self.norm_mlp_out, s.norm_eps) if s.post_norms else out)

    def block(
        self,
        x: Float[Array, "B T D"],
        positions: Int[Array, "B T"],
        frequency: Float[Array, " half"],
        mask: Bool[Array, "B 1 T T"] | Run,
    ) -> tuple[Float[Array, "B T D"], jax.Array, jax.Array]:
        """The whole layer over slots that see only each other: (output, keys, values)."""
        q, k, v = self.project(x, positions, frequency)
        look = flash if isinstance(mask, Run) else attend
        return self.finish(x, look(q, k, v, mask, self.spec.attention_cap)), k, v


def compute_type(params: Any, spec: ModelSpec) -> Any:
    """Matrices of a layer, or of a decoder, in the type they are multiplied in; norms' scales stay float32, and so do the mixes
    of `copying`."""

    def cast(path: tuple, leaf: jax.Array) -> jax.Array:
        return leaf.astype(spec.dtype) if leaf.ndim > 1 and not path[-1].key.startswith("mix") else leaf

    return jax.tree_util.tree_map_with_path(cast, params)


def norm_scale(module: nn.Module, spec: ModelSpec, name: str, size: int) -> jax.Array:
    """What a norm multiplies by; 1 at first."""
    if spec.norm_offset:
        return 1.0 + module.param(name, nn.initializers.zeros, (size,))
    return module.param(name, nn.initializers.ones, (size,))
