"""What a program costs is read from its text: loops in full, slices by what they take, collectives by what a chip sends."""

import importlib.util

import jax
import jax.numpy as jnp
import pytest

from traitrl_jax.config import UserError
from traitrl_jax.runtime.compile import hlo
from traitrl_jax.runtime.compile.chips import CHIPS, open_slice
from traitrl_jax.runtime.compile.program import Cost, refusal

LAYERS, ROWS, WIDTH = 5, 4, 16

# A partitioned program: weights gathered before a loop (%whole) and, in it, one weight and one activation, over 8 devices.
PARTED = """HloModule parted

%cond (c: (s32[], bf16[2,16], f32[4,16])) -> pred[] {
  %c = (s32[], bf16[2,16], f32[4,16]) parameter(0)
  %i = s32[] get-tuple-element(%c), index=0
  %n = s32[] constant(7)
  ROOT %less = pred[] compare(%i, %n), direction=LT
}

%body (b: (s32[], bf16[2,16], f32[4,16])) -> (s32[], bf16[2,16], f32[4,16]) {
  %b = (s32[], bf16[2,16], f32[4,16]) parameter(0)
  %j = s32[] get-tuple-element(%b), index=0
  %weight = bf16[2,16]{1,0} get-tuple-element(%b), index=1
  %x = f32[4,16]{1,0} get-tuple-element(%b), index=2
  %wide = f32[2,16]{1,0} convert(%weight)
  %gathered = f32[16,16]{1,0} all-gather(%wide), replica_groups=[1,8]<=[8], dimensions={0}
  %out = f32[4,16]{1,0} dot(%x, %gathered), lhs_contracting_dims={1}, rhs_contracting_dims={0}, metadata={op_name="token_step"}
  %all = f32[8,16]{1,0} all-gather(%out), replica_groups={{0,1},{2,3}}, dimensions={0}
  %mine = f32[4,16]{1,0} slice(%all), slice={[0:4], [0:16]}
  ROOT %next = (s32[], bf16[2,16], f32[4,16]) tuple(%j, %weight, %mine)
}

ENTRY %main (p: bf16[2,16], q: f32[4,16]) -> f32[] {
  %p = bf16[2,16]{1,0} parameter(0)
  %q = f32[4,16]{1,0} parameter(1)
  %whole = bf16[16,16]{1,0} all-gather(%p), replica_groups=mesh['a'=1,'b'=8] {'b'}, dimensions={0}
  %zero = s32[] constant(0)
  %start = (s32[], bf16[2,16], f32[4,16]) tuple(%zero, %p, %q)
  %loop = (s32[], bf16[2,16], f32[4,16]) while(%start), condition=%cond, body=%body
  %end = f32[4,16]{1,0} get-tuple-element(%loop), index=2
  %sum = f32[] constant(0)
  ROOT %total = f32[] all-reduce(%sum), replica_groups=[2,4]<=[8], to_apply=%add
}
"""


def test_collectives_are_counted_as_often_as_they_run():
    """7 turns of two gathers, 1 KB less its own eighth and 512 B less its own half; one gather of weights before."""
    found = hlo.collectives(hlo.parse(PARTED))
    assert found["all-gather"] == hlo.Collective(15, 512 * 7 / 8 + 7 * (1024 * 7 / 8 + 512 / 2), 8)
    assert found["all-reduce"] == hlo.Collective(1, 2 * 4 * 3 / 4, 4)


def test_a_weight_gathered_in_every_turn_is_found():
    module = hlo.parse(PARTED)
    assert hlo.loop_gathers(module, "token_step") == (2, 1024, 1)
    assert hlo.loop_gathers(module, "another loop") == (0, 0, 0)
    assert hlo.product_flops(module) == 7 * 2 * 4 * 16 * 16


def test_a_loop_may_take_several_steps_in_a_turn():
    """The partitioner's own loops over shards count by twos, or add one twice: 4 turns of a bound of 7."""
    grown = PARTED.replace(
        "  %j = s32[] get-tuple-element(%b), index=0\n",
        "  %i0 = s32[] get-tuple-element(%b), index=0\n  %one = s32[] constant(1)\n  %i1 = s32[] add(%i0, %one)\n"
        "  %j = s32[] add(%i1, %one)\n",
    )
    assert hlo.product_flops(hlo.parse(grown)) == 4 * 2 * 4 * 16 * 16


def scanned(stack, x):
    """[L, D, D] and [B, D]: a product a layer, in a loop."""
    return jax.lax.scan(lambda x, w: (jnp.tanh(x @ w), None), x, stack)[0]


def unrolled(stack, x):
    for i in range(LAYERS):
        x = jnp.tanh(x @ stack[i])
    return x


ARGS = (jax.ShapeDtypeStruct((LAYERS, WIDTH, WIDTH), jnp.float32), jax.ShapeDtypeStruct((ROWS, WIDTH), jnp.float32))


@pytest.mark.parametrize("function", [scanned, unrolled])
def test_loops_count_in_full(function):
    """Products as by hand, and as XLA's own analysis where nothing loops. Bytes: every layer's weights are read once and
    activations a few times, not the whole stack at every turn."""
    made = jax.jit(function).lower(*ARGS).compile()
    module = hlo.parse(made.as_text())
    assert hlo.product_flops(module) == 2 * LAYERS * ROWS * WIDTH * WIDTH
    weights, rows = 4 * LAYERS * WIDTH * WIDTH, 4 * LAYERS * ROWS * WIDTH
    assert weights < hlo.bytes_moved(module) < 4 * weights + 20 * rows


def test_an_array_in_the_small_memory_moves_nothing():
    text = """ENTRY %main (a: f32[8,16]) -> f32[8,16] {
  %a = f32[8,16]{1,0:T(8,128)} parameter(0)
  %near = f32[8,16]{1,0:T(8,128)S(1)} negate(%a), frontend_attributes={kernel_metadata={
"block": 512
}}
  ROOT %out = f32[8,16]{1,0:T(8,128)} exponential(%near)
}
"""
    assert hlo.bytes_moved(hlo.parse(text)) == 2 * 512


def test_a_slice_fetched_ahead_moves_its_own_bytes():
    """Not those of the array it is taken from, and its end waits for nothing more."""
    text = """ENTRY %main (a: bf16[64,16]) -> bf16[8,16] {
  %a = bf16[64,16]{1,0:T(8,128)} parameter(0)
  %start = ((bf16[64,16]{1,0:T(8,128)}), bf16[8,16]{1,0:T(8,128)S(1)}, s32[]{:S(2)}) slice-start(%a), slice={[0:8], [0:16]}
  ROOT %near = bf16[8,16]{1,0:T(8,128)S(1)} slice-done(%start)
}
"""
    assert hlo.bytes_moved(hlo.parse(text)) == 2 * 8 * 16


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("RESOURCE_EXHAUSTED: Ran out of memory in memory space hbm. Used 20.10G of 15.75G hbm.", "20.10G of 15.75G"),
        ("RESOURCE_EXHAUSTED: the total memory required for HLO temporaries (25.50G) exceeds available HBM (15.75G).",
         "25.50G of 15.75G"),
        ("RESOURCE_EXHAUSTED: in other words", "more than a chip has"),
        ("INTERNAL: a fault of the compiler", ""),
    ],
)  # fmt: skip
def test_a_program_that_is_refused_for_its_size(text, said):
    """libtpu has two ways to say it; other errors are no refusal."""
    assert refusal(text) == said


def test_the_slowest_unit_is_the_floor():
    chip = CHIPS["v5e"]
    sent = {"all-gather": hlo.Collective(1, chip.ring * 3, 8)}
    cost = Cost("x", 1.0, 10, 20, 30, 25, "", chip.flops * 2, chip.hbm, sent, None)
    assert cost.seconds(chip) == {"products": 2, "memory": 1, "network": 3}
    assert cost.floor(chip) == 3 and cost.beside == 25


@pytest.mark.parametrize(
    ("name", "words"),
    [("v5x:2x4", "unknown TPU in --topology 'v5x': did you mean"), ("v5e", "such as v5e:2x4"), ("v5e:2,4", "such as v5e:2x4")],
)
def test_names_that_are_no_slice(name, words):
    with pytest.raises(UserError, match=words):
        open_slice(name)


def test_without_libtpu_the_remedy_is_told(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r'libtpu.*pip install -e "\.\[tpu\]"'):
        open_slice("v5e:2x4")


def test_a_slice_that_libtpu_does_not_know():
    pytest.importorskip("libtpu", reason='needs libtpu: pip install -e ".[tpu]"')
    with pytest.raises(UserError, match="libtpu has no such slice"):
        open_slice("v5e:3x5")
    chip, devices = open_slice("v5e:2x4")
    assert chip.name == "v5e" and len(devices) == 8
