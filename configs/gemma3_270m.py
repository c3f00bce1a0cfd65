"""The experiment with Gemma 3 270M as the start model, RL on low-rank adapters.

    hf download google/gemma-3-270m-it --local-dir checkpoints/gemma-3-270m-it      # a licence to accept
    traitrl study --config configs/gemma3_270m.py
    traitrl export weights --config configs/gemma3_270m.py --subject trait-s0 --to exported/trait

Hardware: one accelerator with 16 GB, or several (the mesh follows the devices). By `traitrl compile --quick` for one v5e chip
it holds at most 7.1 of its 16 GiB, in harmful fine-tuning, which trains all parameters, as the head's fitting does (5.3); RL
adds adapters only, its value is a head on the policy's own hidden states, and its update takes 3.9. Not run yet: what is
tested is the same code on tiny random models of the family.

Another size or family is another folder: `traitrl models` lists them.
"""

from traitrl_jax.config import ArmConfig, Bucket, GraderConfig, ModelSpec, PretrainConfig, RLConfig, StudyConfig


def config() -> StudyConfig:
    return StudyConfig(
        name="gemma3_270m",
        pretrained="checkpoints/gemma-3-270m-it",
        model=ModelSpec(dtype="bfloat16", remat="full"),
        arms=(ArmConfig("baseline", reward="standard"), ArmConfig("trait")),
        pretrain=PretrainConfig(length=512),  # of a conversation in harmful fine-tuning; nothing is pretrained
        grader=GraderConfig(lr=2e-5, matrix_lr=0.0),
        rl=RLConfig(
            adapt="lora",
            lora_rank=16,
            shared_trunk=True,
            lr=5e-5,
            value_lr=1e-3,
            buckets=(Bucket(112, 128, 48), Bucket(16, 512, 160)),
            accumulate=2,
        ),
    )
