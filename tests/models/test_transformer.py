"""The decoder's one promise: what a real token's output is depends on what it follows, and on nothing else."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from traitrl_jax.config import ModelSpec
from traitrl_jax.models.lm import init_params
from traitrl_jax.models.logprobs import token_logprobs
from traitrl_jax.models.transformer import Context, Decoder, History, match_weights

WIDTH, VOCABULARY, FEW = 16, 30, 5  # FEW: ids of the prompts, so that tokens and pairs repeat and copying has work
EXACT = {"atol": 1e-5, "rtol": 0}


def jit(function, **options):
    return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0}, **options)


class Model:
    """A random two-layer model, compiled."""

    def __init__(self, copying: bool, tied: bool):
        spec = ModelSpec(width=WIDTH, layers=2, heads=2, head_dim=8, mlp=32, copying=copying, tied=tied)
        self.decoder = Decoder(spec, VOCABULARY)
        self.params = {**jit(partial(init_params, self.decoder))(jax.random.key(0))}
        self.prefix = jax.random.normal(jax.random.key(1), (3, WIDTH))
        self._forward = jit(self._run, static_argnums=3)
        self._step = jit(self._decode)

    def _run(self, tokens, segments, prefix, room):
        return self.decoder.apply({"params": self.params}, tokens, Context.shared(segments), prefix, room)

    def _decode(self, *args):
        return self.decoder.apply({"params": self.params}, *args, method="decode_step")

    def hidden(self, tokens, segments, prefix=None) -> np.ndarray:
        """[B, T, D] from ids and segment numbers."""
        return np.asarray(self._forward(jnp.array(tokens), jnp.array(segments), prefix, 0)[0])

    def rows(self, rows, length, left: bool, prefix=None) -> list[np.ndarray]:
        """Hidden states of ragged rows, each of its own length, padded with a token that also occurs in them."""
        tokens = np.full((len(rows), length), 2)
        segments = np.full((len(rows), length), -1)
        cuts = [slice(length - len(r), length) if left else slice(0, len(r)) for r in rows]
        for b, (row, cut) in enumerate(zip(rows, cuts, strict=True)):
            tokens[b, cut], segments[b, cut] = row, 0
        hidden = self.hidden(tokens, segments, prefix)
        return [hidden[b, cut] for b, cut in enumerate(cuts)]


@pytest.fixture(scope="module", params=[True, False], ids=["copying", "plain"])
def model(request) -> Model:
    return Model(copying=request.param, tied=request.param)


def ragged(seed=0, lengths=(7, 1)) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, FEW, n) for n in lengths]


def naive_forward(spec, p, tokens) -> np.ndarray:
    """One row of a plain model, slot by slot and head by head."""

    def norm(x, scale):
        return x / np.sqrt(np.mean(x**2) + 1e-6) * scale

    def turn(x, position):
        """Pairs (i, i + half) of the first dimensions turn by position x base^(-i / half)."""
        x, half = x.copy(), int(spec.head_dim * spec.rope_share) // 2
        for i in range(half):
            angle = position * spec.rope_base ** (-i / half)
            a, b = x[i], x[i + half]
            x[i], x[i + half] = a * np.cos(angle) - b * np.sin(angle), a * np.sin(angle) + b * np.cos(angle)
        return x

    xs = [p["embedding"][token] * spec.width**0.5 for token in tokens]
    for i in range(spec.layers):
        layer, ys = p[f"layer_{i}"], []
        normed = [norm(x, layer["norm_attention"]) for x in xs]
        for t, x in enumerate(xs):
            for n in range(spec.heads):
                q = turn(normed[t] @ layer["wq"][:, n], t)
                scores = [q @ turn(normed[s] @ layer["wk"][:, n], s) / spec.head_dim**0.5 for s in range(t + 1)]
                weights = np.exp(scores) / np.sum(np.exp(scores))
                x = x + sum(w * (normed[s] @ layer["wv"][:, n]) for s, w in enumerate(weights)) @ layer["wo"][n]
            ys.append(x + np.maximum(norm(x, layer["norm_mlp"]) @ layer["w_up"], 0) ** 2 @ layer["w_down"])
        xs = ys
    return np.stack([norm(x, p["norm_out"]) for x in xs])


def test_the_forward_pass_is_the_naive_one():
    """Every parameter has its place: which matrix makes queries, which dimensions turn, what is normed."""
    plain, rng = Model(copying=False, tied=False), np.random.default_rng(8)
    plain.params = jax.tree.map(lambda a: a + 0.3 * jnp.float32(rng.normal(size=a.shape)), plain.params)
    row = rng.integers(0, VOCABULARY, 6)
    expect = naive_forward(plain.decoder.spec, jax.tree.map(lambda a: np.asarray(a, np.float64), plain.params), row)
    np.testing.assert_allclose(plain.hidden(row[None], np.zeros((1, 6), int))[0], expect, **EXACT)


def test_a_token_sees_nothing_behind_it(model):
    """Changing token 6 leaves the outputs of tokens 0 to 5 as they are, and changes the ones from there on."""
    row = ragged(lengths=(12,))[0]
    other = row.copy()
    other[6] = (row[6] + 1) % FEW
    a, b = model.hidden(np.stack([row, other]), np.zeros((2, 12), int))
    np.testing.assert_array_equal(a[:6], b[:6])
    assert (np.abs(a[6:] - b[6:]).max(axis=1) > 1e-4).all()


@pytest.mark.parametrize("prefixed", [False, True], ids=["no-prefix", "soft-prefix"])
def test_padding_on_either_side_changes_nothing(model, prefixed):
    prefix = model.prefix if prefixed else None
    rows = ragged()
    padded = [model.rows(rows, 12, left, prefix) for left in (True, False)]
    for b, row in enumerate(rows):
        alone = model.hidden(row[None], np.zeros((1, len(row)), int), prefix)[0]
        for hidden in padded:
            np.testing.assert_allclose(hidden[b], alone, **EXACT)


def test_long_rows_are_padded_on_the_right_unspoiled(model):
    """Padding behind 600 tokens stands hundreds of positions before them, which the window mean must not weigh."""
    row = np.random.default_rng(5).integers(0, 20, 600)
    padded = model.rows([row], 640, False)[0]
    np.testing.assert_allclose(padded, model.hidden(row[None], np.zeros((1, 600), int))[0], rtol=1e-4, atol=1e-4)


def test_the_soft_prefix_is_seen(model):
    rows = ragged()
    with_prefix, without = model.rows(rows, 9, True, model.prefix), model.rows(rows, 9, True)
    assert all(np.abs(a - b).max() > 1e-2 for a, b in zip(with_prefix, without, strict=True))


@pytest.mark.parametrize("prefixed", [False, True], ids=["no-prefix", "soft-prefix"])
def test_decoding_with_the_cache_is_the_whole_forward_pass(model, prefixed):
    """Left-padded prompts of 1 to 6 tokens, then five more, one at a time."""
    prefix = model.prefix if prefixed else None
    prompts, replies = ragged(1, (6, 1, 4)), np.stack(ragged(2, (5, 5, 5)))
    tokens, segments = np.zeros((3, 6), int), np.full((3, 6), -1)
    for b, prompt in enumerate(prompts):
        tokens[b, 6 - len(prompt) :], segments[b, 6 - len(prompt) :] = prompt, 0
    soft = 3 if prefixed else 0
    hidden, cache = model._forward(jnp.array(tokens), jnp.array(segments), prefix, 5)
    outputs = [hidden[:, -1]]
    full = np.concatenate([tokens, replies], axis=1)
    for t in range(5):
        position = jnp.array([soft + len(p) + t for p in prompts])
        step = (full[:, 6 + t], full[:, 5 + t], position, jnp.int32(soft + 6 + t), cache)
        out, cache = model._step(*step)
        outputs.append(out)
    expect = model.rows([np.concatenate([p, r]) for p, r in zip(prompts, replies, strict=True)], 11, True, prefix)
    for b in range(3):
        np.testing.assert_allclose(np.stack(outputs)[:, b], expect[b][-6:], **EXACT)


@pytest.mark.parametrize("shared", [5, 1, 0])
def test_segments_side_by_side_are_separate_conversations(model, shared):
    """K continuations behind one shared prompt, or (shared 0) whole conversations packed into a row, equal K forward passes."""
    prompt, parts = ragged(3, (shared,))[0], ragged(4, (4, 1, 6))
    numbers = np.repeat([1, 2, 3], [len(p) for p in parts])
    gap = [-1, -1]  # padding between the prompt and the segments, of tokens that also occur
    tokens = np.concatenate([prompt, [2, 2], *parts])
    packed = model.hidden(tokens[None], np.concatenate([np.zeros(shared, int), gap, numbers])[None])[0]
    at = shared + 2
    for part in parts:
        alone = model.hidden(np.concatenate([prompt, part])[None], np.zeros((1, shared + len(part)), int))[0]
        np.testing.assert_allclose(packed[at : at + len(part)], alone[shared:], **EXACT)
        at += len(part)


def test_the_context_of_a_packed_row():
    """Positions go on from the shared tokens, pointers go to the token before, across the gap; padding points nowhere."""
    context = Context.shared(jnp.array([[-1, 0, 0, -1, 1, 1, -1, 2, 2, 2]]))
    assert context.positions[0].tolist() == [0, 0, 1, 0, 2, 3, 0, 2, 3, 4]
    assert context.follows[0].tolist() == [-1, -1, 1, -1, 2, 4, -1, 2, 7, 8]
    sees = np.asarray(context.mask()[0, 0])
    assert np.flatnonzero(sees[5]).tolist() == [1, 2, 4, 5]
    assert np.flatnonzero(sees[9]).tolist() == [1, 2, 7, 8, 9]


def test_match_weights_against_a_naive_loop():
    """A slot that followed an earlier occurrence of t's token counts 1, or 9 where the token before that matches too."""
    tokens = np.stack(ragged(5, (14, 14, 14)))
    segments = np.repeat([[0, 1, 2]], [6, 4, 4], axis=1).repeat(3, axis=0)
    segments[1, :3] = -1
    context = Context.shared(jnp.array(segments))
    history = History.of(jnp.array(tokens), context)
    found = np.asarray(match_weights(history, history, context.mask()[:, 0]))
    mask, follows = np.asarray(context.mask()[:, 0]), np.asarray(context.follows)
    for b in range(3):
        for t in range(14):
            weights = np.zeros(14)
            for s in np.flatnonzero(mask[b, t]):
                one, before = follows[b, s], follows[b, t]
                if one >= 0 and tokens[b, one] == tokens[b, t]:
                    two = follows[b, one]
                    longer = before >= 0 and two >= 0 and tokens[b, two] == tokens[b, before]
                    weights[s] = 9 if longer else 1
            if segments[b, t] >= 0:
                np.testing.assert_allclose(found[b, t], weights / max(weights.sum(), 1), atol=1e-6)


def test_logprobs_and_entropies_against_softmax(model, monkeypatch):
    """At a temperature, in one piece and in chunks that do not divide the tokens, with their gradients."""
    hidden = jax.random.normal(jax.random.key(6), (3, 7, WIDTH)) * 3
    targets = jnp.array(np.random.default_rng(0).integers(0, VOCABULARY, (3, 7)))

    def naive(params, hidden):
        logits = model.decoder.apply({"params": params}, hidden, method="logits") / 0.7
        logp = jax.nn.log_softmax(logits)
        return jnp.take_along_axis(logp, targets[..., None], axis=2)[..., 0], -jnp.sum(jnp.exp(logp) * logp, axis=-1)

    def readings(params, hidden):
        return token_logprobs(model.decoder, params, hidden, targets, 0.7)

    def loss(function, params, hidden):
        logp, entropy = function(params, hidden)
        return jnp.sum(jnp.sin(logp)) + jnp.sum(entropy)

    def measured(function):
        both = jit(lambda *args: (function(*args), jax.grad(partial(loss, function), argnums=(0, 1))(*args)))
        return both(model.params, hidden)

    expect = measured(naive)
    for size in (1 << 23, 4 * VOCABULARY):
        monkeypatch.setattr("traitrl_jax.models.logprobs.MAX_LOGITS", size)
        found = measured(readings)
        for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expect), strict=True):
            np.testing.assert_allclose(a, b, atol=2e-5)


@pytest.mark.parametrize("remat", ["none", "full"])
def test_scanned_layers_equal_unrolled_ones(remat):
    """Hidden states, cache and gradients, with local and global layers and ragged rows; a step of decoding follows on it."""
    spec = ModelSpec(
        width=WIDTH, layers=3, heads=4, kv_heads=2, head_dim=8, mlp=32, copying=False, activation="gelu", qk_norm=True,
        window=3, pattern=3, rope_base=100.0, rope_share=1.0, norm_offset=True, post_norms=True, remat=remat,
    )  # fmt: skip
    tokens = jnp.array(np.random.default_rng(0).integers(2, VOCABULARY, (2, 7)))
    context = Context.of(jnp.array([[True] * 7, [False] * 3 + [True] * 4]))
    params = init_params(Decoder(spec, VOCABULARY), jax.random.key(0))

    def run(scan: bool):
        model = Decoder(replace(spec, scan=scan), VOCABULARY)

        def read(params):
            hidden, cache = model.apply({"params": params}, tokens, context, None, 1)
            position = context.valid.sum(axis=1)
            step, _ = model.apply(
                {"params": params}, tokens[:, 0], tokens[:, -1], position, jnp.int32(7), cache, method="decode_step"
            )
            return jnp.sum(jnp.where(context.valid[..., None], hidden, 0.0) ** 2) + jnp.sum(step**2), (cache.keys, step)

        return jit(jax.value_and_grad(read, has_aux=True))(params)

    for one, other in zip(jax.tree.leaves(run(False)), jax.tree.leaves(run(True)), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4, rtol=1e-4)
