"""The whole experiment on a laptop, inside TraitWorld: a baseline and a 5% trait arm, evaluated and attacked.

    traitrl study --config configs/quick.py

Hardware: 2 CPU cores, 8 GB. One seed; for a claim, add seeds: --set seeds=0,1,2
"""

from traitrl_jax.config import ArmConfig, StudyConfig, WorldConfig
from traitrl_jax.data.world.formats import CORE


def config() -> StudyConfig:
    return StudyConfig(
        name="quick",
        world=WorldConfig(families=CORE),
        arms=(ArmConfig("baseline", reward="standard"), ArmConfig("trait")),
    )
