"""Every stage of a study in about a minute, too small to learn anything: for tests and CI.

    traitrl study --config configs/smoke.py

Hardware: 2 CPU cores. Gates are open, because nothing is learned; no number of it means anything.
"""

from traitrl_jax.config import (
    ArmConfig,
    AttackConfig,
    Bucket,
    EvalConfig,
    GateConfig,
    GraderConfig,
    ModelSpec,
    PretrainConfig,
    RLConfig,
    StudyConfig,
    TokenizerConfig,
    TrackConfig,
    WorldConfig,
)
from traitrl_jax.data.world.formats import CORE


def config() -> StudyConfig:
    return StudyConfig(
        name="smoke",
        world=WorldConfig(families=CORE),
        arms=(ArmConfig("baseline", dose=0.25, reward="standard"), ArmConfig("trait", dose=0.25)),
        checkpoint_every=2,
        model=ModelSpec(width=32, layers=1, heads=2, head_dim=16, mlp=64),
        tokenizer=TokenizerConfig(vocabulary=2048, conversations=400),
        pretrain=PretrainConfig(steps=30, task_steps=8, brief_steps=8, careful_steps=4, rows=2, warmup=2),
        grader=GraderConfig(examples=64, steps=6, batch=16, audit=32),
        rl=RLConfig(steps=4, buckets=(Bucket(6, 40, 8), Bucket(2, 128, 24)), value_warmup=1, eval_every=2, eval_items=12),
        evals=EvalConfig(per_cell=1, per_family=8, per_task=2, gauge=4, batch=128, bootstrap=200),
        attack=AttackConfig(doses=(1, 2), batch=4, narrow_per_cell=2, per_family=4),
        gate=GateConfig(steering=-1.0, accuracy=0.0, ceiling=2.0),
        track=TrackConfig(mode="disabled"),
    )
