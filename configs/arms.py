"""All arms of the paper at the quick size: baseline, trait, health only, neither health nor science, generic helpfulness.

    traitrl study --config configs/arms.py

Hardware: 2 CPU cores, 8 GB; about twice the time of configs/quick.py.
"""

from traitrl_jax.config import ArmConfig, StudyConfig, WorldConfig
from traitrl_jax.data.world.formats import CORE
from traitrl_jax.data.world.pools import DOMAINS


def config() -> StudyConfig:
    return StudyConfig(
        name="arms",
        world=WorldConfig(families=CORE),
        arms=(
            ArmConfig("baseline", reward="standard"),
            ArmConfig("trait"),
            ArmConfig("health_only", domains=("health",)),
            ArmConfig("no_health_no_science", domains=tuple(d for d in DOMAINS if d not in ("health", "science"))),
            ArmConfig("helpfulness", reward="helpfulness"),
        ),
    )
