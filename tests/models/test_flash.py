"""The TPU's attention kernel, interpreted, against the dense mask: outputs and gradients of real slots."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from traitrl_jax.config import ModelSpec
from traitrl_jax.models import layer, transformer
from traitrl_jax.models.attention import attend, within
from traitrl_jax.models.flash import Run, flash
from traitrl_jax.models.lm import init_params
from traitrl_jax.models.transformer import Context, Decoder

ROWS, HEADS, KEY_HEADS, LENGTH, SIZE = 2, 4, 2, 150, 128  # no multiple of the kernel's blocks
VALID = np.array([[False] * 61 + [True] * 70 + [False] * 19, [True] * LENGTH])  # padding on both sides


@pytest.mark.parametrize(
    ("local", "window", "cap"), [(False, 0, 0.0), (True, 40, 0.0), (False, 40, 5.0)], ids=["global", "local", "capped"]
)
def test_the_kernel_equals_the_dense_mask(local, window, cap):
    shapes = ((HEADS, LENGTH), (KEY_HEADS, LENGTH), (KEY_HEADS, LENGTH))
    q, k, v = (jax.random.normal(jax.random.key(i), (ROWS, *s, SIZE)) for i, s in enumerate(shapes))
    weights = jax.random.normal(jax.random.key(3), q.shape) * VALID[:, None, :, None]
    context = Context.of(jnp.array(VALID))
    mask = within(context.mask(), context.positions, context.positions, window) if local else context.mask()
    run = Run(context.valid, jnp.array(local), window)

    def reading(look, seen):
        return jax.jit(jax.value_and_grad(lambda q, k, v: jnp.sum(weights * look(q, k, v, seen, cap)), argnums=(0, 1, 2)))

    scale = SIZE**-0.5
    wanted = reading(attend, mask)(q * scale, k, v)
    found = reading(partial(flash, interpret=True), run)(q * scale, k, v)
    for a, b in zip(jax.tree.leaves(wanted), jax.tree.leaves(found), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-3, rtol=1e-4)


SPEC = ModelSpec(
    width=32, layers=3, heads=2, kv_heads=1, head_dim=128, mlp=32, copying=False, activation="gelu", qk_norm=True, window=20,
    pattern=3, rope_share=1.0, flash=True, scan=True, remat="full",
)  # fmt: skip


def test_a_decoder_on_a_tpu_reads_the_same(monkeypatch):
    """Local and global layers under scan and remat, as on a TPU; shared segments fall back to the dense mask."""
    params = init_params(Decoder(SPEC, 30), jax.random.key(0))
    tokens = jnp.array(np.random.default_rng(0).integers(2, 30, VALID.shape))
    context = Context.of(jnp.array(VALID))

    def read(spec):
        def loss(params):
            hidden, _ = Decoder(spec, 30).apply({"params": params}, tokens, context)
            return jnp.sum(hidden[VALID] ** 3)

        return jax.value_and_grad(loss)(params)

    wanted = read(replace(SPEC, flash=False))
    seen = []

    def interpreted(*args):
        seen.append(1)
        return flash(*args, interpret=True)

    monkeypatch.setattr(transformer, "on_tpu", lambda: True)
    monkeypatch.setattr(layer, "flash", interpreted)
    for a, b in zip(jax.tree.leaves(wanted), jax.tree.leaves(read(SPEC)), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-3 * float(np.abs(a).max()), rtol=1e-3)
    count = len(seen)
    assert count > 0
    segments = jnp.where(jnp.arange(LENGTH) < 100, 0, 1)[None]
    Decoder(SPEC, 30).apply({"params": params}, tokens[:1], Context.shared(segments))
    assert len(seen) == count
