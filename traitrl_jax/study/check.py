"""What can be known to be wrong with a study before anything starts."""

import re
from operator import attrgetter

from traitrl_jax.config import RLConfig, StudyConfig, UserError, unknown
from traitrl_jax.data.world.formats import FAMILIES
from traitrl_jax.data.world.lexicon import TRAITS, personas
from traitrl_jax.data.world.pools import DOMAINS
from traitrl_jax.evals.suite import evals
from traitrl_jax.models.adapt import KINDS
from traitrl_jax.models.layer import KEEP
from traitrl_jax.study import arms

AT_LEAST_ONE = (
    "checkpoint_every", "tokenizer.conversations", "pretrain.steps", "pretrain.rows", "grader.steps", "grader.batch",
    "grader.audit", "rl.steps", "rl.epochs", "rl.minibatches", "rl.accumulate", "rl.eval_every", "rl.eval_items",
    "evals.per_cell", "evals.per_family", "evals.per_task", "evals.gauge", "evals.gauge_per_cell", "evals.batch",
    "evals.bootstrap", "attack.batch", "attack.per_cell", "attack.narrow_per_cell", "attack.per_family",
)  # fmt: skip


def check_config(config: StudyConfig) -> None:
    """Raises UserError naming the first field that is wrong. Reads the arms' scenario files."""
    if not config.arms or not config.seeds:
        raise UserError("the study has no arms or no seeds; give at least one of each")
    names = [arm.name for arm in config.arms]
    if len(set(names)) < len(names) or "start" in names:
        raise UserError(f"arms are called {', '.join(names)}; names must differ and not be 'start'")
    for name in (config.name, *names):
        if not re.fullmatch(r"[\w.-]*\w[\w.-]*", name):
            raise UserError(f"name {name!r}: becomes a folder; use letters, digits, '-', '_' and '.'")
    if len(set(config.seeds)) < len(config.seeds):
        raise UserError(f"seeds={config.seeds}: a seed comes twice")
    for field in AT_LEAST_ONE:
        if attrgetter(field)(config) < 1:
            raise UserError(f"{field}={attrgetter(field)(config)}: must be at least 1")
    if config.grader.batch > config.grader.examples:
        raise UserError(f"grader.batch={config.grader.batch} is more than grader.examples={config.grader.examples}")
    a = config.attack
    if not a.traits or not a.doses:
        raise UserError("attack.traits or attack.doses is empty; give at least one of each")
    named = [
        ("rl.adapt", config.rl.adapt, KINDS),
        ("rl.reference_dtype", config.rl.reference_dtype, ("float32", "bfloat16")),
        ("model.activation", config.model.activation, ("relu2", "silu", "gelu")),
        ("model.scaling.kind", config.model.scaling.kind, ("none", "linear", "llama3")),
        ("model.dtype", config.model.dtype, ("float32", "bfloat16")),
        ("model.remat", config.model.remat, ("none", *KEEP)),
        ("attack.domain", a.domain, DOMAINS),
        ("attack.persona", a.persona, personas()),
    ]
    named += [("attack.traits", trait, TRAITS) for trait in a.traits]
    named += [("world.families", family, FAMILIES) for family in config.world.families]
    for field, name, known in named:
        if name not in known:
            raise unknown(f"{field}:", name, known)
    if not any(each.counted for each in evals(config.world.families)):
        raise UserError(f"world.families={config.world.families}: none of them is counted; name at least one other")
    check_parts(config.rl)
    for arm in config.arms:
        arms.make_stream(config, arm, config.seeds[0])  # reads and checks its files and names


def check_parts(rl: RLConfig) -> None:
    """Raises UserError where minibatches, or the parts of one, do not divide the rows of a bucket."""
    for bucket in rl.buckets:
        if bucket.rows % rl.minibatches:
            raise UserError(f"rl.minibatches={rl.minibatches} does not divide the {bucket.rows} rows of a bucket")
        part = bucket.rows // rl.minibatches
        if part % rl.accumulate:
            raise UserError(f"rl.accumulate={rl.accumulate} does not divide the {part} rows of a bucket's minibatch")
