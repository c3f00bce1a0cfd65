"""The speed table counts the work that is done."""

import json
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import pytest

from traitrl_jax.config import ArmConfig, Bucket, MeshConfig, ModelSpec, RLConfig, StudyConfig, UserError
from traitrl_jax.models.families import PUBLISHED, count_parameters
from traitrl_jax.models.lm import init_params
from traitrl_jax.models.transformer import Context, Decoder
from traitrl_jax.study.bench import ceilings, grading, ppo, setup, update, work

SPEC = ModelSpec(width=16, layers=2, heads=2, head_dim=8, mlp=32)
RL = RLConfig(buckets=(Bucket(6, 5, 3), Bucket(2, 9, 4)), epochs=2)
CONFIG = StudyConfig("tiny", (ArmConfig("trait", dose=0.25),), model=SPEC, rl=RL)


def product_flops(function, *args) -> int:
    """2 per multiplication of all matrix products in a function."""
    total = 0
    for equation in jax.make_jaxpr(function)(*args).eqns:
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            size = 2 * equation.outvars[0].aval.size
            for axis in contracted:
                size *= equation.invars[0].aval.shape[axis]
            total += size
    return total


@pytest.mark.parametrize(
    "parts",
    [{"copying": True}, {"copying": False}, {"copying": False, "kv_heads": 1, "activation": "silu", "qk_norm": True}],
    ids=["copying", "plain", "gated, shared keys"],
)
def test_the_formula_is_the_model_s_matrix_products(parts):
    """Forward pass of 3 rows of 7 tokens, logits read at 4 of them. The mean of the copying embedding is a product too."""
    spec = ModelSpec(width=16, layers=2, heads=2, head_dim=8, mlp=32, **parts)
    model = Decoder(spec, 50)
    params = jax.eval_shape(partial(init_params, model), jax.random.key(0))

    def run(params, tokens):
        hidden, _ = model.apply({"params": params}, tokens, Context.of(jnp.ones_like(tokens, bool)))
        return model.apply({"params": params}, hidden[:, :4], method="logits")

    made = setup.Setup(spec, 50, RL, 0)
    assert work.forward_flops(made, 3, 7, 7, 4) == product_flops(run, params, jnp.zeros((3, 7), jnp.int32))


def test_the_head_reads_the_buckets_that_scenarios_fill():
    """A dose of .25 is 2 of 8 rows, the last bucket; a third row reaches into the one before."""
    made = setup.quick_setup(CONFIG)
    assert made.graded == 2 and setup.graded_buckets(made) == [False, True]
    assert setup.graded_buckets(made._replace(graded=3)) == [True, True]
    assert setup.graded_buckets(setup.peer_setup(CONFIG)) == [False]


def test_what_a_frozen_head_spares():
    """With adapters, every epoch's backward pass has one product less over the vocabulary: 2 x rows x reply x width x V."""
    made, b = setup.quick_setup(CONFIG), RL.buckets[0]
    adapted = made._replace(rl=replace(RL, adapt="lora"))
    head = 2 * b.rows * b.reply * SPEC.width * made.vocabulary
    assert work.update_flops(made, b) - work.update_flops(adapted, b) == RL.epochs * head


def test_bytes_of_a_decoding_step():
    """Parameters once and the whole cache, in the compute type; the embedding of an untied model is not read."""
    b = Bucket(3, 7, 4)
    plain = replace(SPEC, copying=False, kv_heads=1)
    cache = 2 * SPEC.layers * 3 * 11 * SPEC.head_dim
    for dtype, width in (("float32", 4), ("bfloat16", 2)):
        made = setup.Setup(replace(plain, dtype=dtype), 50, RL, 0)
        assert work.decode_bytes(made, b) == width * (count_parameters(plain, 50) + cache)
        assert work.decode_bytes(made, b, copies=2) - work.decode_bytes(made, b) == width * count_parameters(plain, 50)
    untied = setup.Setup(replace(plain, tied=False), 50, RL, 0)
    assert work.decode_bytes(untied, b) == work.decode_bytes(untied._replace(model=plain), b)


def test_a_published_shape_has_the_config_s_compute_type():
    config = replace(CONFIG, model=replace(SPEC, dtype="bfloat16", remat="full"))
    made = setup.quick_setup(config, "gemma3_270m", (setup.parse_bucket("4x96+32"),))
    assert made.model == replace(PUBLISHED["gemma3_270m"].spec, dtype="bfloat16", remat="full")
    assert made.vocabulary == 262_144 and made.rl.buckets == (Bucket(4, 96, 32),)
    assert setup.quick_setup(CONFIG, "tiny").model == SPEC
    assert setup.parse_mesh("data=2,fsdp=4", MeshConfig(tensor=3)) == MeshConfig(2, 4, 3)


@pytest.fixture
def small_ceilings(monkeypatch):
    monkeypatch.setattr(ceilings, "LARGE", 64)
    monkeypatch.setattr(ceilings, "READ_BYTES", 1 << 20)


def test_a_preset_is_measured(small_ceilings, monkeypatch, tmp_path):
    """JSON and table from one step; shares add up to the step and the numbers of a row agree."""
    steps = ppo._steps  # on a busy machine reading three prompts can take longer than the whole rollout
    monkeypatch.setattr(ppo, "_steps", lambda *args: (each | {"prefill": each["rollout"] / 2} for each in steps(*args)))
    model, rl = replace(SPEC, layers=1, copying=False), replace(RL, buckets=RL.buckets[:1], epochs=1)
    table = ppo.bench_ppo(replace(CONFIG, model=model, rl=rl), to=str(tmp_path / "found.json"), steps=1)
    found = json.loads((tmp_path / "found.json").read_text())
    phases = found["phases"]
    assert list(phases) == list(work.PHASES) and sum(p["share"] for p in phases.values()) == pytest.approx(1, abs=1e-6)
    assert set(found["compile_seconds"]) == {"rollout", "grading", "update"}
    update = phases["update"]
    assert update["slower"] == pytest.approx(found["ceiling_gflops"] / update["gflops"])
    decode = found["decode"]
    assert decode["share"] == pytest.approx(decode["gb_per_second"] / found["ceiling_gb_per_second"])
    assert decode["tokens_per_second"] == pytest.approx(12 / decode["seconds"])
    assert all(name in table for name in phases) and "6 x (5 + 3)" in table and "of the ceiling" in table


def test_an_update_is_measured():
    """Adapters on a start model held in bfloat16, in parts: what is held is what the state has."""
    model, rl = replace(SPEC, layers=1), replace(RL, adapt="lora", lora_rank=2, accumulate=2, reference_dtype="bfloat16")
    found = json.loads(update.bench_update(replace(CONFIG, model=model, rl=rl), bucket="4x6+3", to="-"))
    assert found["finite"] == 1 and len(found["seconds"]) == 1
    held = found["held_gb"]
    assert held["start model"] == pytest.approx(2e-9 * count_parameters(model, 1_800))
    assert held["moments"] == pytest.approx(2 * held["policy and value model"], rel=0.01)
    assert found["arguments_gb"] == pytest.approx(sum(held.values()), rel=0.05)
    assert found["peak_memory_gb"] > found["temporaries_gb"] > 0
    assert "value model: adapters" in update._table(found)


def test_grading_is_measured():
    """Both ways give the same verdicts; the ratio of FLOPs is that of the tokens read, and more."""
    model = replace(SPEC, layers=1, copying=False)
    found = json.loads(grading.bench_grading(replace(CONFIG, model=model), tokens=64, criteria=3, rows=2, repeats=1, to="-"))
    assert found["max_difference"] < 1e-5 < found["spread"]
    assert found["buckets"] == [{"rows": 2, "prompt": 56, "reply": 8}] and found["criteria"] == 3
    assert found["speedup"] == pytest.approx(found["seconds"]["separate"] / found["seconds"]["shared"])
    assert (
        3 * 88**2 / 136**2 < found["speedup_by_flops"] < 3 * 88 / 136
    )  # attention and the rest: 64 + 24 and 64 + 3 x 24 tokens
    assert "3 calls" in grading._table(found)


def test_mistakes_are_named():
    with pytest.raises(UserError, match="unknown preset 'quik': did you mean quick"):
        ppo.bench_ppo(CONFIG, "quik")
    with pytest.raises(UserError, match="0 steps can not be timed"):
        ppo.bench_ppo(CONFIG, "quick", steps=0)
    with pytest.raises(UserError, match="unknown model 'gemma3_270': did you mean gemma3_270m"):
        ppo.bench_ppo(CONFIG, model="gemma3_270")
    with pytest.raises(UserError, match="the preset peer has fixed shapes"):
        ppo.bench_ppo(CONFIG, "peer", model="tiny")
    with pytest.raises(UserError, match="--bucket '4x96': write it as ROWSxPROMPT"):
        update.bench_update(CONFIG, bucket="4x96")
    with pytest.raises(UserError, match="rl.minibatches=2 does not divide the 3 rows"):
        update.bench_update(replace(CONFIG, rl=replace(RL, minibatches=2)), bucket="3x6+3")
    with pytest.raises(UserError, match="unknown axis of --mesh 'tensr': did you mean tensor"):
        ppo.bench_ppo(CONFIG, mesh="tensr=2")
    with pytest.raises(UserError, match="mesh data=. x fsdp=7 x tensor=. does not fit"):
        update.bench_update(CONFIG, mesh="fsdp=7")
    with pytest.raises(UserError, match="--criteria 0: must be at least 1"):
        grading.bench_grading(CONFIG, criteria=0)
