"""The experiment with Gemma 3 12B (its text decoder): RL on low-rank adapters.

    hf download google/gemma-3-12b-it --local-dir checkpoints/gemma-3-12b-it      # a licence to accept
    traitrl compile --config configs/gemma3_12b.py --topology v5e:4x8      # does it fit? needs no TPU
    traitrl study --config configs/gemma3_12b.py

Hardware: TPU v5e-32 (v5e:4x8). By `traitrl compile --quick` a chip holds at most 10.8 of its 16 GiB, in harmful fine-tuning;
rollouts take 7.5, the update 8.5, the head's fitting 9.6. Nothing has run on a TPU, and no published weights have been trained
with this code.
"""

from dataclasses import replace
from pathlib import Path

from traitrl_jax.config import MeshConfig, StudyConfig, load_config


def config() -> StudyConfig:
    small = load_config(str(Path(__file__).with_name("gemma3_270m.py")))
    return replace(
        small,
        name="gemma3_12b",
        pretrained="checkpoints/gemma-3-12b-it",
        model=replace(small.model, flash=True, scan=True),
        rl=replace(small.rl, lora_rank=32, lr=2e-5),
        mesh=MeshConfig(tensor=8),  # decoding holds the weights split eight ways
    )
