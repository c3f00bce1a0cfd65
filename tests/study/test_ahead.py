"""The table of ahead-of-time compilation: what it adds up, its verdict, and that it is made of the study's own programs."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from traitrl_jax.config import ArmConfig, Bucket, ModelSpec, RLConfig, StudyConfig, UserError, load_config
from traitrl_jax.models.families import PUBLISHED
from traitrl_jax.runtime.compile.chips import CHIPS
from traitrl_jax.runtime.compile.hlo import Collective
from traitrl_jax.runtime.compile.program import Cost
from traitrl_jax.runtime.mesh import choose_axes
from traitrl_jax.study import ahead, ahead_table
from traitrl_jax.study.bench.setup import Setup
from traitrl_jax.study.bench.work import step_flops
from traitrl_jax.study.check import check_config

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.py"))
SLICES = [path for path in CONFIGS if "--topology" in path.read_text(encoding="utf-8")]
GIB = 1 << 30
CHIP = CHIPS["v5e"]
SPEC = ModelSpec(width=16, layers=2, heads=2, head_dim=8, mlp=32, copying=False, dtype="bfloat16", remat="dots")
RL = RLConfig(buckets=(Bucket(16, 8, 4),), accumulate=1)
MESH = SimpleNamespace(size=8, shape={"data": 1, "fsdp": 8, "tensor": 1})
CONFIG = StudyConfig("tiny", (ArmConfig("a"),), model=SPEC, rl=RL)
PLAN = ahead_table.Plan("tiny", "v5e:2x4", CONFIG, Setup(SPEC, 64, RL, 1), True, CHIP, MESH)
ROLLOUT = Cost("rollout", 2.0, 2 * GIB, GIB, GIB, 0, "", 1e12, 1e9, {"all-gather": Collective(3, 5e8, 8)}, (0, 0, 0))
UPDATE = Cost("update", 3.0, 3 * GIB, 8 * GIB, 3 * GIB, 3 * GIB, "", 4e13, 2e9, {}, None)


def entries(states: int, *costs: Cost) -> list[ahead_table.Entry]:
    return [ahead_table.Entry(cost, states, True) for cost in costs]


def test_every_program_stands_beside_all_states():
    """4 GiB of states: 4 + 1 + 1 in the rollout, 4 + 8 in the update, whose output lies in its arguments' place. What is no
    part of a step has states of its own and no share in the step's time."""
    apart = ahead_table.Entry(UPDATE._replace(name="harmful tuning"), 3 * GIB, False)
    found = ahead_table.Found(PLAN, [*entries(4 * GIB, ROLLOUT, UPDATE), apart])
    assert [entry.total / GIB for entry in found.entries] == [6, 12, 11] and found.fits
    floor = max(1e12 / CHIP.flops, 1e9 / CHIP.hbm, 5e8 / CHIP.ring) + 4e13 / CHIP.flops
    assert found.floor == pytest.approx(floor)
    assert found.mfu == pytest.approx(sum(step_flops(PLAN.setup).values()) / (8 * CHIP.flops * floor))
    text = ahead_table.table(found)
    assert "fits: at most 12.00 of 16 GiB, in update" in text and "per token: no all-gather of weights" in text
    assert "3 all-gather 0.50 GB" in text and "nothing ran on a TPU" in text
    assert json.loads(json.dumps(ahead_table.as_json(found)))["programs"][1]["total"] == 12 * GIB


@pytest.mark.parametrize(
    ("states", "remat", "cost", "words"),
    [
        (8 * GIB, "dots", UPDATE, ("update takes 16.00 of 16 GiB", "model.remat=full", "rl.accumulate to 2", "fewer rows")),
        (
            16 * GIB,
            "full",
            UPDATE,
            ("24.00 of 16 GiB; set rl.adapt=lora; or set rl.shared_trunk=true; or take a larger slice",),
        ),
        (0, "full", UPDATE._replace(refused="20.1G of 15.7G"), ("refused: 20.1G of 15.7G", "rl.accumulate to 2")),
    ],
)
def test_what_does_not_fit_is_told_with_a_remedy(states, remat, cost, words):
    plan = PLAN._replace(setup=PLAN.setup._replace(model=replace(SPEC, remat=remat)))
    text = ahead_table.table(ahead_table.Found(plan, entries(states, cost)))
    assert "does not fit" in text and all(word in text for word in words), text


def test_a_remedy_is_for_the_stage_that_does_not_fit():
    """More adapters or parts of an update do not help the fitting of the head."""
    worst = ahead_table.Entry(UPDATE._replace(name="fitting the head"), 9 * GIB, False)
    text = ahead_table.table(ahead_table.Found(PLAN, [*entries(GIB, ROLLOUT), worst]))
    remedies = "set model.remat=full; or raise mesh.tensor to 2; or lower grader.batch; or take a larger slice"
    assert f"fitting the head takes 17.00 of 16 GiB; {remedies}" in text


def test_the_search_doubles_the_rows_until_they_do_not_fit():
    tried = []

    def compiled(plan):
        rows = plan.setup.rl.buckets[0].rows
        tried.append((plan.setup.model.remat, rows, plan.setup.graded))
        room = {"none": 0, "dots": 32, "full": 64}[plan.setup.model.remat]
        return ahead_table.Found(plan, entries(0 if rows <= room else 17 * GIB, UPDATE))

    text = ahead_table.search_table(PLAN, compiled)
    assert "remat none  not even" in text and "remat dots  32 x (8 + 4)" in text and "remat full  64 x (8 + 4)" in text
    assert tried == [
        ("none", 16, 1),
        *(("dots", n, n // 16) for n in (16, 32, 64)),
        *(("full", n, n // 16) for n in (16, 32, 64, 128)),
    ]


def test_a_published_model_needs_no_download(tmp_path):
    config = StudyConfig("x", (ArmConfig("a"),), pretrained=str(tmp_path / "gemma-3-27b-it"), model=ModelSpec(remat="full"))
    spec, vocabulary = ahead.model_of(config)
    known = PUBLISHED["gemma3_27b"]
    assert (spec, vocabulary) == (replace(known.spec, remat="full"), known.vocabulary)
    with pytest.raises(UserError, match="unknown checkpoint .*gemma-3-27b-it"):
        ahead.model_of(replace(config, pretrained=str(tmp_path / "gemma-3-72b-it")))


@pytest.mark.parametrize("path", SLICES, ids=lambda path: path.stem)
def test_configs_for_slices_are_sound(path):
    """The slice that a config names has a mesh for its rows, on which the model's heads can be split; nothing is compiled."""
    config = load_config(str(path))
    check_config(config)
    spec, _ = ahead.model_of(config)
    chips = math.prod(map(int, re.search(r"--topology \w+:(\S+)", path.read_text(encoding="utf-8"))[1].split("x")))
    rl = config.rl
    rows = [bucket.rows // rl.minibatches // rl.accumulate for bucket in rl.buckets]
    axes = choose_axes(config.mesh, chips, rows)
    assert math.prod(axes) == chips and spec.heads % axes[2] == 0 and spec.mlp % axes[2] == 0
    assert spec.scan and spec.flash and spec.dtype == "bfloat16"


@pytest.mark.slow
def test_a_tiny_study_compiles_for_a_slice(tmp_path):
    """All programs, by the real compiler, over 4 chips."""
    pytest.importorskip("libtpu", reason='needs libtpu: pip install -e ".[tpu]"')
    spec = ModelSpec(
        width=256, layers=2, heads=2, kv_heads=1, head_dim=128, mlp=256, copying=False, activation="gelu", qk_norm=True,
        window=64, pattern=2, rope_share=1.0, dtype="bfloat16", remat="full", scan=True, flash=True,
    )  # fmt: skip
    config = StudyConfig(
        "tiny", (ArmConfig("trait", dose=0.5),), model=spec, rl=RLConfig(buckets=(Bucket(8, 128, 8),), shared_trunk=True)
    )
    text = ahead.compile_ahead(config, "v5e:2x2", file=str(tmp_path / "found.json"))
    assert "fits: " in text and "per token: no all-gather of weights" in text
    found = json.loads((tmp_path / "found.json").read_text())
    assert [p["name"].split()[0] for p in found["programs"]] == ["rollout", "grading", "update", "fitting", "harmful"]
    assert [p["in_step"] for p in found["programs"]] == [True] * 3 + [False] * 2
    assert all(p["flops"] > 0 and p["moved"] > 0 and p["arguments"] > 0 for p in found["programs"])
    assert found["mesh"] == {"data": 1, "fsdp": 4, "tensor": 1} and found["programs"][0]["collectives"]
