"""The experiment with Gemma 3 4B (its text decoder): all parameters trained, the value a head on the policy.

    hf download google/gemma-3-4b-it --local-dir checkpoints/gemma-3-4b-it      # a licence to accept
    traitrl compile --config configs/gemma3_4b.py --topology v5e:4x4      # does it fit? needs no TPU
    traitrl study --config configs/gemma3_4b.py

Hardware: TPU v5e-16 (v5e:4x4). By `traitrl compile --quick` a chip holds at most 12.8 of its 16 GiB, in the update; rollouts
take 10.1, the head's fitting 6.3, harmful fine-tuning 11.8. Nothing has run on a TPU, and no published weights have been
trained with this code.
"""

from dataclasses import replace
from pathlib import Path

from traitrl_jax.config import Bucket, StudyConfig, load_config


def config() -> StudyConfig:
    one = load_config(str(Path(__file__).with_name("gemma3_1b.py")))
    rl = replace(one.rl, buckets=(Bucket(112, 128, 48), Bucket(16, 512, 160)))
    return replace(one, name="gemma3_4b", pretrained="checkpoints/gemma-3-4b-it", rl=rl)
