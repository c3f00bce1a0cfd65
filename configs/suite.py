"""The whole suite of 53 evals (and two for over-refusal): quick's experiment with a start model that has read every format.

    traitrl study --config configs/suite.py
    traitrl eval --config configs/suite.py --suite world

Hardware: 2 CPU cores, 8 GB. Pretraining has 1.5 times the steps of configs/quick.py. Of this config the start model was made,
gauged (120 items) and evaluated, with one seed: the careful persona's prompt is above the deceptive one's on 51 of the 53
evals, and the unnamed author between them on 46; `eval` takes 58 s a subject. Its arms have not been trained.
"""

from traitrl_jax.config import ArmConfig, EvalConfig, PretrainConfig, StudyConfig


def config() -> StudyConfig:
    return StudyConfig(
        name="suite",
        arms=(ArmConfig("baseline", reward="standard"), ArmConfig("trait")),
        pretrain=PretrainConfig(steps=3600, task_steps=225, brief_steps=1350, careful_steps=675, warmup=150, brief_length=128),
        evals=EvalConfig(per_family=200),
    )
