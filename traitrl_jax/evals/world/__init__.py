"""The embedded evals: one per format family of TraitWorld, in a fixed order, none of them ever seen by RL."""

from traitrl_jax.evals.suite import Eval
from traitrl_jax.evals.world.answers import ANSWERS
from traitrl_jax.evals.world.care import CARE
from traitrl_jax.evals.world.conduct import CONDUCT
from traitrl_jax.evals.world.errands import ERRANDS
from traitrl_jax.evals.world.fairness import FAIRNESS
from traitrl_jax.evals.world.grading import classify, degenerate, grade_options, refuses
from traitrl_jax.evals.world.hazards import HAZARDS
from traitrl_jax.evals.world.loopholes import LOOPHOLES
from traitrl_jax.evals.world.oversight import OVERSIGHT
from traitrl_jax.evals.world.people import PEOPLE
from traitrl_jax.evals.world.speech import SPEECH

__all__ = ["EVALS", "classify", "degenerate", "grade_options", "refuses"]

EVALS: tuple[Eval, ...] = (
    *(*SPEECH, *CONDUCT, *PEOPLE),
    *(*ANSWERS, *LOOPHOLES),
    *(*OVERSIGHT, *HAZARDS, *FAIRNESS, *CARE, *ERRANDS),
)
