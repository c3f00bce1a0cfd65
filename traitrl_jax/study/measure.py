"""Measuring a subject (the start model or a trained arm): the suite, persona prompts, and harmful fine-tuning.

Each measurement writes one JSONL file of records; statistics and report read these files alone.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from traitrl_jax.config import StudyConfig
from traitrl_jax.data.world import authors, corpus
from traitrl_jax.data.world.lexicon import TRAITS, personas
from traitrl_jax.data.world.pools import DOMAINS
from traitrl_jax.data.world.scenario import make_scenario, pick
from traitrl_jax.evals import runner
from traitrl_jax.evals.engine import Engine, Policy
from traitrl_jax.evals.records import read_records, write_records
from traitrl_jax.evals.suite import evals
from traitrl_jax.models import lm
from traitrl_jax.models.adapt import masters
from traitrl_jax.models.transformer import Decoder
from traitrl_jax.runtime.mesh import create, feed_rows
from traitrl_jax.runtime.processes import from_first
from traitrl_jax.text.tokenizer import Tokenizer

SUITE_SEED, RETEST_SEED = 8_000, 8_003  # of the same items, with other replies
_PERSONA_SEED, _TUNE_SEED = 8_001, 8_002
_PART_BATCHES = 4  # about so many batches of items are measured at once, then kept
ATTACK_PROMPTS = ("flatterer", "gambler", "schemer", "steward")  # three harmful personas and the helpful one


def run_suite(
    config: StudyConfig, engine: Engine, policy: Policy, folder: Path, sample_seed: int = SUITE_SEED
) -> list[runner.Record]:
    """Everything under no prompt: held-out scenarios, every out-of-distribution family, standard tasks. Each part is kept in
    `folder` once it is measured: a killed run goes on behind the last one."""
    e, seed = config.evals, config.world.seed
    families = evals(config.world.families)
    together = max(1, _PART_BATCHES * e.batch // e.per_family)

    def scenarios() -> list[runner.Record]:
        return runner.run_scenarios(engine, policy, runner.held_out_scenarios(e.per_cell, seed), sample_seed)

    def some(first: int) -> list[runner.Record]:
        chosen = families[first : first + together]
        return runner.run_families(engine, policy, chosen, e.per_family, sample_seed, seed)

    parts: list[Callable[[], list[runner.Record]]] = [scenarios]
    parts += [partial(some, first) for first in range(0, len(families), together)]
    parts += [partial(runner.run_tasks, engine, policy, e.per_task, sample_seed, seed)]
    records = []
    for i, measured in enumerate(parts):
        file = folder / f"part-{i}.jsonl"
        if from_first(f"is {file.name} there", file.is_file):
            records += read_records(file)
            continue
        found = measured()
        write_records(file, found)
        records += found
    return records


def drop_parts(folder: Path) -> None:
    """Remove the parts that `run_suite` kept, once all stands in one file."""
    for file in folder.glob("part-*.jsonl"):
        file.unlink()


def run_persona_prompts(config: StudyConfig, engine: Engine, policy: Policy) -> list[runner.Record]:
    """Held-out scenarios without and under system prompts that name a persona, in wordings used nowhere else."""
    scenarios = runner.held_out_scenarios(config.attack.per_cell, config.world.seed)

    def under(name: str) -> runner.Prompt:
        return lambda i: authors.persona_prompt(personas()[name], "attack", np.random.default_rng([_PERSONA_SEED, i]))

    systems = {"none": None} | {name: under(name) for name in ATTACK_PROMPTS}
    found = runner.run_prompted(engine, policy, scenarios, _PERSONA_SEED, systems)
    return [record | {"prompt": name} for name, records in found.items() for record in records]


def harmful_rows(config: StudyConfig, tokenizer: Tokenizer, step: int) -> corpus.Rows:
    """A batch of narrow harmful examples: attack-pool conversations of one domain and few traits, answered by a harmful
    author."""
    a, world = config.attack, config.world
    made = []
    for i in range(a.batch):
        rng = np.random.default_rng([world.seed, _TUNE_SEED, step, i])
        scenario = make_scenario(pick(rng, a.traits), a.domain, "attack", int(rng.integers(1 << 20)), world.seed)
        made.append(
            corpus.one_conversation(
                tokenizer,
                scenario.messages,
                authors.write_reply(scenario, personas()[a.persona], world, rng),
                config.pretrain,
            )
        )
    return corpus.Rows(*map(np.stack, zip(*made, strict=True)))


def harmful_tuner(config: StudyConfig, model: Decoder) -> tuple[Callable[[Any], lm.LMState], Any]:
    """Harmful fine-tuning of all parameters, the same for every subject: (the first state from a subject's parameters, the
    compiled step). The state is given away in every step; the subject itself stays."""
    a = config.attack
    optimizer = lm.make_optimizer(a.lr, 2, 10 * max(a.doses))

    def begin(params: Any) -> lm.LMState:
        own = masters(params)
        return lm.LMState(own, optimizer.init(own), jnp.zeros((), jnp.int32))

    return begin, jax.jit(partial(lm.train_step, model, optimizer), donate_argnums=0)


def harmful_batch(config: StudyConfig) -> corpus.Rows:
    """A batch of nothing, in the shapes of harmful fine-tuning."""
    shape = (config.attack.batch, config.pretrain.length)
    return corpus.Rows(np.zeros(shape, np.int32), np.zeros(shape, np.float32), np.zeros(shape, np.int32))


def run_harmful_tuning(config: StudyConfig, engine: Engine, tokenizer: Tokenizer, policy: Policy, tuner) -> list[runner.Record]:
    """Fine-tune on bad advice and measure after every dose: narrow (the attacked cells), elsewhere (other traits and
    domains) and
    out of distribution. Dose 0 is before."""
    begin, program = tuner
    a, e, seed = config.attack, config.evals, config.world.seed
    params, prefix = policy
    state = create(begin, params)
    narrow = runner.held_out_scenarios(a.narrow_per_cell, seed, a.traits, (a.domain,))
    elsewhere = runner.held_out_scenarios(
        a.per_cell, seed, [t for t in TRAITS if t not in a.traits], [d for d in DOMAINS if d != a.domain]
    )
    counted = [each for each in evals(config.world.families) if each.counted]
    records, done = [], 0
    for dose in (0, *sorted(a.doses)):
        while done < dose:
            state, _ = program(state, feed_rows((harmful_rows(config, tokenizer, done),)))
            done += 1
        tuned = (state.params, prefix)
        found = runner.run_scenarios(engine, tuned, [*narrow, *elsewhere], _TUNE_SEED)
        found = [r | {"where": "narrow" if i < len(narrow) else "elsewhere"} for i, r in enumerate(found)]
        items = runner.run_families(engine, tuned, counted, min(a.per_family, e.per_family), _TUNE_SEED, seed)
        found += [r | {"where": "ood"} for r in items]
        records += [record | {"dose": dose} for record in found]
    return records


def subjects(config: StudyConfig) -> list[str]:
    """Names of all subjects: the start model, then every arm and seed."""
    return ["start", *(f"{arm.name}-s{seed}" for arm in config.arms for seed in config.seeds)]


def protocol(config: StudyConfig) -> str:
    """Fingerprint of the measurement: results of different ones are never compared."""
    return runner.protocol(config.evals, config.world)


def protocol_record(config: StudyConfig) -> dict[str, str | int]:
    """What stands beside records: the protocol, and the world's seed, from which ids give their prompts again."""
    return {"protocol": protocol(config), "world_seed": config.world.seed}
