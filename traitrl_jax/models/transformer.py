"""The one decoder: the tiny CPU model, Gemma, Qwen and Llama are `ModelSpec`s of it. Flax Linen with explicit-shape parameters
and einsum. Layers are unrolled (few-layer CPU models decode twice as fast that way) or, with `ModelSpec.scan`, one scanned
layer, except in decoding. Parameters are each layer's own either way, and carry no sharding annotations.

Shapes: B batch, T query slots, S key slots, D width, N heads, G key and value heads, H head size, M mlp width, V vocabulary,
L layers.

Slots and positions are different things: a slot is an index of an array, a position is what rotary embedding sees. Rows
may be padded on either side; `Context` says which slots are real, so padding never changes a real token's output.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from traitrl_jax.config import ModelSpec, RopeScaling
from traitrl_jax.models.attention import attend, frequencies, norm, soft_cap, within
from traitrl_jax.models.flash import Run
from traitrl_jax.models.layer import KEEP, Layer, compute_type, norm_scale
from traitrl_jax.runtime.mesh import constrain_rows, constrain_tree, on_tpu

_WINDOW = 6.0  # tokens over which the window mean fades by e
_LONGER_MATCH = 8.0  # weight of a two-token match beside 1 for one token


@flax.struct.dataclass
class Context:
    """The one mask object: which slots are real, where they stand, what they follow and which segment they belong to.

    A slot attends to real slots not after it, of segment 0 (shared) or of its own segment. The K replies to one prompt,
    or the K criteria of one rubric, stand side by side behind the shared segment 0 and do not see each other.
    """

    valid: Bool[Array, "B T"]
    positions: Int[Array, "B T"]
    segments: Int[Array, "B T"]
    follows: Int[Array, "B T"]  # slot of the token before; -1: none
    single: bool = flax.struct.field(pytree_node=False, default=False)  # known to be one run of real slots in every row

    @classmethod
    def of(cls, valid: Bool[Array, "B T"]) -> "Context":
        """One segment; padding on either side."""
        return cls.shared(jnp.where(valid, 0, -1)).replace(single=True)

    @classmethod
    def shared(cls, segments: Int[Array, "B T"]) -> "Context":
        """From segment numbers: -1 padding, 0 shared, 1 ... side by side. Each of these is a run of slots and continues
        segment 0 in position and in the token it follows; without a segment 0 they are conversations packed into a row."""
        slots = jnp.broadcast_to(jnp.arange(segments.shape[1]), segments.shape)
        valid = segments >= 0
        prefix = segments == 0
        last = jnp.max(jnp.where(prefix, slots, -1), axis=1, keepdims=True)
        begins = jnp.pad(segments[:, 1:] != segments[:, :-1], ((0, 0), (1, 0)), constant_values=True)
        start = jax.lax.cummax(jnp.where(begins, slots, 0), axis=1)
        before = jnp.where(begins, jnp.where(segments > 0, last, -1), slots - 1)
        count = jnp.where(segments > 0, jnp.sum(prefix, axis=1, keepdims=True), 0)
        inside = jnp.where(prefix, jnp.cumsum(prefix, axis=1) - 1, slots - start)
        return cls(
            valid=valid,
            positions=jnp.where(valid, count + inside, 0),
            segments=segments,
            follows=jnp.where(valid, before, -1),
        )

    def mask(self) -> Bool[Array, "B 1 T T"]:
        """[b, 0, t, s]: may slot t attend to slot s?"""
        length = self.valid.shape[1]
        causal = jnp.tril(jnp.ones((length, length), bool))
        key, query = self.segments[:, None, :], self.segments[:, :, None]
        return (causal & self.valid[:, None, :] & ((key == 0) | (key == query)))[:, None]


class History(NamedTuple):
    """Every slot's token, the one before it and the one before that (-1: none), and its position."""

    tokens: Int[Array, "B S"]
    one: Int[Array, "B S"]
    two: Int[Array, "B S"]
    positions: Int[Array, "B S"]

    @classmethod
    def of(cls, tokens: Int[Array, "B T"], context: Context) -> "History":
        """By following each slot's pointer twice."""
        follows = context.follows

        def before(values: jax.Array) -> jax.Array:
            return jnp.where(follows >= 0, jnp.take_along_axis(values, jnp.maximum(follows, 0), axis=1), -1)

        return cls(tokens, before(tokens), before(before(tokens)), context.positions)


class Cache(NamedTuple):
    """Keys and values of every layer, [L][B, G, S, H]: heads before time, twice as fast on CPU."""

    keys: tuple[jax.Array, ...]
    values: tuple[jax.Array, ...]
    valid: Bool[Array, "B S"]
    history: "History"


def match_weights(queries: History, keys: History, mask: Bool[Array, "B T S"]) -> Float[Array, "B T S"]:
    """How much slot t expects what stands at slot s: slots that followed an earlier occurrence of t's token, averaged;
    where the
    token before matched too, more so. Source: n-gram heads, Akyurek et al. 2024."""
    match = mask & (queries.tokens[:, :, None] == keys.one[:, None, :])
    longer = match & (queries.one[:, :, None] == keys.two[:, None, :]) & (queries.one >= 0)[:, :, None]
    weights = match + _LONGER_MATCH * longer
    return weights / jnp.maximum(weights.sum(axis=-1, keepdims=True), 1.0)


class Decoder(nn.Module):
    """Token ids to hidden states; `logits` reads them. An optional soft prefix of vectors stands before every row."""

    spec: ModelSpec
    vocabulary: int

    def setup(self):
        s = self.spec
        self.embedding = self.param("embedding", nn.initializers.normal(s.width**-0.5), (self.vocabulary, s.width))
        if s.copying:
            self.mix = self.param("mix", nn.initializers.orthogonal(), (s.width, s.width))
            self.mix_follower = self.param("mix_follower", nn.initializers.orthogonal(), (s.width, s.width))
            self.mix_mean = self.param("mix_mean", nn.initializers.orthogonal(), (s.width, s.width))
        layer = Layer if s.remat == "none" else nn.remat(Layer, policy=KEEP[s.remat], methods=["block"])
        self.layers = [layer(s, name=f"layer_{i}") for i in range(s.layers)]
        self.norm_out = norm_scale(self, s, "norm_out", s.width)
        if not s.tied:
            self.head = self.param("head", nn.initializers.normal(s.width**-0.5), (s.width, self.vocabulary))

    def embed(self, queries: History, keys: History, mask: Bool[Array, "B T S"]) -> Float[Array, "B T D"]:
        """Embeddings of the queries' tokens. With `copying`, each also sees, through learned mixes, the token before it, what
        followed earlier occurrences of it, and a fading mean of the tokens before: three heads given, not learned."""
        # Whole along the width: rows of the result can then be split as the batch is.
        table = constrain_tree({"embedding": self.embedding.astype(self.spec.dtype)}, drop=("fsdp",))["embedding"]
        scale = jnp.asarray(self.spec.width**0.5 if self.spec.embed_scale else 1.0, table.dtype)  # rounded, as Gemma's is
        x = table[queries.tokens] * scale
        if not self.spec.copying:
            return x
        previous = table[jnp.maximum(queries.one, 0)] * (scale * (queries.one >= 0)[..., None])
        mask = mask & (keys.tokens >= 0)[:, None, :]
        read = table[jnp.maximum(keys.tokens, 0)] * scale
        follower = jnp.einsum("bts,bsd->btd", match_weights(queries, keys, mask), read)
        # Padding stands at position 0, before what it follows: without the bound its weights overflow and spoil every row.
        distance = jnp.maximum(queries.positions[:, :, None] - keys.positions[:, None, :], 0)
        window = jnp.where(mask, jnp.exp(-distance / _WINDOW), 0.0)
        mean = norm(jnp.einsum("bts,bsd->btd", window, read), 1.0)
        mixes = ((previous, self.mix), (follower, self.mix_follower), (mean, self.mix_mean))
        return x + sum(jnp.einsum("btd,ed->bte", y, mix) for y, mix in mixes)

    def __call__(
        self, tokens: Int[Array, "B T"], context: Context, prefix: Float[Array, "Q D"] | None = None, room: int = 0
    ) -> tuple[Float[Array, "B T D"], Cache]:
        """Hidden states of all slots, and the cache with `room` empty slots behind them (for decode_step)."""
        history = History.of(tokens, context)
        x = self.embed(history, history, context.mask()[:, 0])
        if prefix is not None:
            rows, length = tokens.shape[0], prefix.shape[0]
            x = jnp.concatenate([jnp.broadcast_to(prefix.astype(x.dtype), (rows, *prefix.shape)), x], axis=1)
            context = Context(
                valid=jnp.pad(context.valid, ((0, 0), (length, 0)), constant_values=True),
                positions=jnp.concatenate(
                    [jnp.broadcast_to(jnp.arange(length), (rows, length)), context.positions + length], axis=1
                ),
                segments=jnp.pad(context.segments, ((0, 0), (length, 0))),
                follows=context.follows,  # the prefix holds no tokens
            )
            history = History(*(jnp.pad(a, ((0, 0), (length, 0)), constant_values=-1) for a in history))
            history = history._replace(positions=context.positions)
        run = self._scanned if self.spec.scan and not self.is_initializing() else self._unrolled
        x, keys, values = run(x, context.positions, self._sight(context))
        behind = ((0, 0), (0, room))
        keys, values = (tuple(jnp.pad(a, ((0, 0), (0, 0), *behind[1:], (0, 0))) for a in kept) for kept in (keys, values))
        history = History(*(jnp.pad(a, behind, constant_values=-1) for a in history))
        cache = Cache(keys, values, jnp.pad(context.valid, behind), history)
        hidden = norm(x, self.norm_out, self.spec.norm_eps)
        return (hidden if prefix is None else hidden[:, prefix.shape[0] :]), cache

    def _sight(self, context: Context) -> Callable[[bool | jax.Array], Any]:
        """What a layer's slots see, given whether it is local: a mask, or what stands for it in the TPU's kernel."""
        if self.spec.flash and context.single and on_tpu():
            return lambda local: Run(context.valid, jnp.asarray(local), self.spec.window)
        mask = context.mask()
        near = self._near(mask, context.positions, context.positions)
        return lambda local: jnp.where(local, near, mask)

    def _unrolled(self, x: Float[Array, "B T D"], positions: Int[Array, "B T"], sight: Callable[[bool], Any]):
        """All layers, one after another: (output, keys and values of every layer)."""
        kept = []
        for i, layer in enumerate(self.layers):
            local = self.spec.is_local(i)
            x, *each = layer.block(constrain_rows(x), positions, self._frequency(local), sight(local))
            kept.append(each)
        return x, *zip(*kept, strict=True)

    def _scanned(self, x: Float[Array, "B T D"], positions: Int[Array, "B T"], sight: Callable[[jax.Array], Any]):
        """The same as a scan over stacked weights: a deep model compiles in the time of one layer. The stack is a second copy
        of the weights, in the compute type and split over devices as they are; what a layer needs whole is gathered in its
        turn."""
        s, params = self.spec, self.variables["params"]
        frequency = [self._frequency(local) for local in (False, True)]
        stack = jax.tree.map(lambda *w: jnp.stack(w), *(compute_type(params[f"layer_{i}"], s) for i in range(s.layers)))

        def one(x, each):
            weights, local = each
            turn = jnp.where(local, frequency[1], frequency[0])
            weights = constrain_tree({"layer_0": weights})["layer_0"]
            args = (constrain_rows(x), positions, turn, sight(local))
            x, *kept = Layer(s, parent=None).apply({"params": weights}, *args, method="block")
            return x, kept

        if s.remat != "none":
            one = jax.checkpoint(one, policy=KEEP[s.remat], prevent_cse=False)
        x, kept = jax.lax.scan(one, x, (stack, jnp.array([s.is_local(i) for i in range(s.layers)])))
        return x, *kept

    def decode_step(
        self,
        token: Int[Array, " B"],
        previous: Int[Array, " B"],
        position: Int[Array, " B"],
        slot: Int[Array, ""],
        cache: Cache,
    ) -> tuple[Float[Array, "B D"], Cache]:
        """One token per row, written to cache slot `slot` (the same in all rows). `position` counts real tokens and prefix."""
        before = jax.lax.dynamic_slice_in_dim(cache.history.one, slot - 1, 1, axis=1)
        now = History(token[:, None], previous[:, None], before, position[:, None])
        history = History(
            *(jax.lax.dynamic_update_slice(old, new, (0, slot)) for old, new in zip(cache.history, now, strict=True))
        )
        valid = jax.lax.dynamic_update_slice(cache.valid, jnp.ones_like(token, bool)[:, None], (0, slot))
        x = self.embed(now, history, valid[:, None, :])
        mask, keys, values = valid[:, None, None, :], [], []
        near = self._near(mask, position[:, None], history.positions)
        for i, (layer, k_old, v_old) in enumerate(zip(self.layers, cache.keys, cache.values, strict=True)):
            local = self.spec.is_local(i)
            q, k, v = layer.project(constrain_rows(x), position[:, None], self._frequency(local))
            keys.append(jax.lax.dynamic_update_slice(k_old, k, (0, 0, slot, 0)))
            values.append(jax.lax.dynamic_update_slice(v_old, v, (0, 0, slot, 0)))
            x = layer.finish(x, attend(q, keys[-1], values[-1], near if local else mask, self.spec.attention_cap))
        return norm(x[:, 0], self.norm_out, self.spec.norm_eps), Cache(tuple(keys), tuple(values), valid, history)

    def _near(self, mask: jax.Array, queries: Int[Array, "B T"], keys: Int[Array, "B S"]) -> jax.Array:
        """The mask of local layers."""
        return within(mask, queries, keys, self.spec.window) if self.spec.window else mask

    def _frequency(self, local: bool) -> Float[Array, " half"]:
        """Of rotary positions in a local or a global layer."""
        s = self.spec
        base, scaling = (s.local_rope_base, RopeScaling()) if local else (s.rope_base, s.scaling)
        return frequencies(int(s.head_dim * s.rope_share) // 2, base, scaling)

    def logits(self, hidden: Float[Array, "... D"], temperature: float = 1.0) -> Float[Array, "... V"]:
        """Next-token logits over `temperature`, in float32. A cap comes before the temperature."""
        s = self.spec
        x = (hidden if s.logit_cap else hidden / temperature).astype(s.dtype)
        weight, read = (self.embedding, "...d,vd->...v") if s.tied else (self.head, "...d,dv->...v")
        logits = jnp.einsum(read, x, weight.astype(s.dtype), preferred_element_type=jnp.float32)
        return soft_cap(logits, s.logit_cap) / temperature if s.logit_cap else logits
