"""The whole suite of 53 evals (and two for over-refusal): quick's experiment with a start model that has read every format.

    traitrl study --config configs/suite.py
    traitrl eval --config configs/suite.py --suite world

Hardware: 2 CPU cores, 8 GB. Not run yet as a whole. Pretraining has 2.5 times the steps of configs/quick.py and takes as much
longer, because the same rows of other formats in a step are shared by 55 families instead of 20.
"""

from traitrl_jax.config import ArmConfig, EvalConfig, PretrainConfig, StudyConfig


def config() -> StudyConfig:
    return StudyConfig(
        name="suite",
        arms=(ArmConfig("baseline", reward="standard"), ArmConfig("trait")),
        pretrain=PretrainConfig(steps=6000, task_steps=375, brief_steps=2250, careful_steps=1125, warmup=250, brief_length=128),
        evals=EvalConfig(per_family=200),
    )
