"""The experiment with Qwen 3 1.7B: all parameters trained, the value a head on the policy.

    hf download Qwen/Qwen3-1.7B --local-dir checkpoints/Qwen3-1.7B      # Apache-2.0
    traitrl compile --config configs/qwen3_1_7b.py --topology v5e:2x4      # does it fit? needs no TPU
    traitrl study --config configs/qwen3_1_7b.py

Hardware: TPU v5e-8 (v5e:2x4). By `traitrl compile --quick` a chip holds at most 13.1 of its 16 GiB, in the update; rollouts
take 9.0, the head's fitting 5.5, harmful fine-tuning 10.5. Nothing has run on a TPU, and no published weights have been
trained with this code.
"""

from dataclasses import replace
from pathlib import Path

from traitrl_jax.config import StudyConfig, load_config


def config() -> StudyConfig:
    gemma = load_config(str(Path(__file__).with_name("gemma3_4b.py")))
    return replace(gemma, name="qwen3_1_7b", pretrained="checkpoints/Qwen3-1.7B")
