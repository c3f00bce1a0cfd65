"""x

    traitrl study --config configs/gemma3_1b.py

Hardware:
"""

from traitrl_jax.config import ArmConfig, Bucket, GraderConfig, ModelSpec, PretrainConfig, RLConfig, StudyConfig


def config() -> StudyConfig:
    return StudyConfig(
        name="gemma3_1b",
        pretrained="checkpoints/gemma-3-1b-it",
        model=ModelSpec(dtype="bfloat16", scan=True, remat="full"),
        arms=(ArmConfig("baseline", reward="standard"), ArmConfig("trait")),
        pretrain=PretrainConfig(length=512),  # of a conversation in harmful fine-tuning; nothing is pretrained
        grader=GraderConfig(lr=2e-5, matrix_lr=0.0),
        rl=RLConfig(
            lr=1e-6,
            value_lr=5e-6,
            buckets=(Bucket(240, 128, 48), Bucket(16, 512, 160)),
            accumulate=2,
        ),
    )
