"""The experiment with Gemma 3 1B: all parameters trained, the value a head on the policy.

    hf download google/gemma-3-1b-it --local-dir checkpoints/gemma-3-1b-it      # a licence to accept
    traitrl compile --config configs/gemma3_1b.py --topology v5e:2x4                  # does it fit? on any machine
    traitrl study --config configs/gemma3_1b.py

Hardware: TPU v5e-8 (v5e:2x4). By `traitrl compile --quick` a chip holds at most 11.0 of its 16 GiB, in the update; rollouts
take 5.4, the head's fitting 3.6, harmful fine-tuning 8.8. Nothing has run on a TPU, and no published weights have been trained
with this code.
"""

from traitrl_jax.config import ArmConfig, Bucket, GraderConfig, ModelSpec, PretrainConfig, RLConfig, StudyConfig


def config() -> StudyConfig:
    return StudyConfig(
        name="gemma3_1b",
        pretrained="checkpoints/gemma-3-1b-it",
        model=ModelSpec(dtype="bfloat16", flash=True, scan=True, remat="full"),
        arms=(ArmConfig("baseline", reward="standard"), ArmConfig("trait")),
        pretrain=PretrainConfig(length=512),  # of a conversation in harmful fine-tuning; nothing is pretrained
        grader=GraderConfig(lr=2e-5, matrix_lr=0.0),
        rl=RLConfig(
            lr=1e-6,
            value_lr=1e-3,
            shared_trunk=True,
            buckets=(Bucket(240, 128, 48), Bucket(16, 512, 160)),
            accumulate=2,
        ),
    )
