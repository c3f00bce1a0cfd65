"""Do traits that were never trained move too? 8 of 15 traits are trained, 7 are left out, in the correlated world and
in its control.

    traitrl study --config configs/quick_holdout.py
    traitrl study --config configs/quick_holdout.py --set name=quick_holdout_control --set world.correlated=false \
        --set gate.steering=-1

The second command is the control: behaviours do not correlate across traits there, so transfer to left-out traits should
vanish, and prompts steer no trait score (the gate is opened). Hardware: 2 CPU cores, 8 GB; as long as configs/quick.py each.
"""

from traitrl_jax.config import ArmConfig, StudyConfig, WorldConfig
from traitrl_jax.data.world.formats import CORE

TRAINED = (
    "truthfulness", "corrigibility", "power_asymmetry", "fairness", "patience", "attunement", "dense_usefulness", "exploration",
)  # fmt: skip


def config() -> StudyConfig:
    return StudyConfig(
        name="quick_holdout",
        world=WorldConfig(families=CORE),
        arms=(ArmConfig("baseline", reward="standard"), ArmConfig("trait8", traits=TRAINED)),
    )
