"""The experiment with Gemma 3 27B (its text decoder): RL on low-rank adapters.

    hf download google/gemma-3-27b-it --local-dir checkpoints/gemma-3-27b-it      # a licence to accept
    traitrl compile --config configs/gemma3_27b.py --topology v5e:8x8      # does it fit? needs no TPU
    traitrl study --config configs/gemma3_27b.py

Hardware: TPU v5e-64 (v5e:8x8), or v5p-64, which has 32 chips (v5p:2x4x4). By `traitrl compile --quick` a chip holds at most
13.1 of its 16 GiB on v5e:8x8, in harmful fine-tuning; rollouts take 11.6, the update 9.4, the head's fitting 10.7. On
v5p:2x4x4 it holds at most 23.6 of 95. Nothing has run on a TPU, and no published weights have been trained with this code.
"""

from dataclasses import replace
from pathlib import Path

from traitrl_jax.config import StudyConfig, load_config


def config() -> StudyConfig:
    smaller = load_config(str(Path(__file__).with_name("gemma3_12b.py")))
    return replace(smaller, name="gemma3_27b", pretrained="checkpoints/gemma-3-27b-it")
