"""The experiment with Qwen 3 8B: RL on low-rank adapters.

    hf download Qwen/Qwen3-8B --local-dir checkpoints/Qwen3-8B      # Apache-2.0
    traitrl compile --config configs/qwen3_8b.py --topology v5e:4x8      # does it fit? needs no TPU
    traitrl study --config configs/qwen3_8b.py

Hardware: TPU v5e-32 (v5e:4x8). By `traitrl compile --quick` a chip holds at most 7.8 of its 16 GiB, in harmful fine-tuning;
rollouts take 5.5, the update 6.1, the head's fitting 6.6. On v5e-16 harmful fine-tuning took 15.2 or more, in three meshes.
Nothing has run on a TPU, and no published weights have been trained with this code.
"""

from dataclasses import replace
from pathlib import Path

from traitrl_jax.config import StudyConfig, load_config


def config() -> StudyConfig:
    gemma = load_config(str(Path(__file__).with_name("gemma3_12b.py")))
    return replace(gemma, name="qwen3_8b", pretrained="checkpoints/Qwen3-8B")
