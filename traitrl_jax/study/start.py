"""The start model: a published checkpoint, or tokenizer and pretraining on the corpus of many authors; and the gauge that says
whether it can be studied."""

import dataclasses
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from traitrl_jax.config import StudyConfig, UserError
from traitrl_jax.data.world import authors, corpus
from traitrl_jax.data.world.lexicon import TRAITS, personas
from traitrl_jax.evals import runner
from traitrl_jax.evals.engine import Engine, Policy
from traitrl_jax.evals.suite import evals
from traitrl_jax.models import lm, pretrained
from traitrl_jax.models.families import family_of, param_shapes, read_spec
from traitrl_jax.models.transformer import Decoder
from traitrl_jax.runtime.checkpoint import load_params
from traitrl_jax.runtime.mesh import create, feed_rows, placed_shapes, tree_shardings
from traitrl_jax.study.training import train
from traitrl_jax.text.pretrained import load_pretrained_tokenizer
from traitrl_jax.text.tokenizer import Tokenizer, load_tokenizer, train_tokenizer

_GAUGE_SEED = 5_000


def open_start(config: StudyConfig, place: Path) -> tuple[Tokenizer, Decoder]:
    """Tokenizer and shape of the start model: the checkpoint's, or the config's with the tokenizer trained in `place`.

    This and `load_start` are all that tells a published model from the world's own. Raises UserError before anything is read.
    """
    if not config.pretrained:
        tokenizer = load_tokenizer(place / "tokenizer.model")
        return tokenizer, Decoder(config.model, tokenizer.size)
    spec, vocabulary = read_spec(Path(config.pretrained))
    own = config.model
    spec = dataclasses.replace(spec, dtype=own.dtype, flash=own.flash, remat=own.remat, scan=own.scan)
    tokenizer = load_pretrained_tokenizer(Path(config.pretrained), family_of(spec), vocabulary)
    return tokenizer, Decoder(spec, vocabulary)


def load_start(config: StudyConfig, model: Decoder, place: Path) -> Any:
    """Parameters of the start model: the checkpoint's, or those that `pretrain` left in `place`."""
    if config.pretrained:
        shardings = tree_shardings(param_shapes(model.spec, model.vocabulary))
        return pretrained.load_params(Path(config.pretrained), model.spec, model.vocabulary, shardings)
    return load_params(place / "model", placed_shapes(partial(lm.init_params, model), jax.random.key(0)))


def checkpoint_files(config: StudyConfig) -> list[tuple[str, int]]:
    """Names and sizes of the checkpoint's files: what a study depends on besides its config. Empty without a checkpoint."""
    folder = Path(config.pretrained)
    names = ("*.safetensors", "config.json", "tokenizer*")
    return sorted((f.name, f.stat().st_size) for name in names for f in folder.glob(name)) if config.pretrained else []


def make_tokenizer(config: StudyConfig, folder: Path) -> None:
    """Train SentencePiece on the text of the corpus, in `folder`."""
    lines = corpus.text_lines(config.tokenizer.conversations, config.pretrain, config.world, config.start_seed)
    train_tokenizer(lines, config.tokenizer.vocabulary, folder / "tokenizer.model")


def pretrain(config: StudyConfig, model: Decoder, tokenizer: Tokenizer, folder: Path, tracker_of, progress_of) -> Any:
    """Train the start model; continues from its newest checkpoint. Raises Stopped after SIGTERM."""
    p = config.pretrain
    shardings = tree_shardings(param_shapes(model.spec, model.vocabulary))
    params = jax.jit(partial(lm.init_params, model), out_shardings=shardings)(jax.random.key(config.start_seed))
    optimizer = lm.make_optimizer(p.lr, p.warmup, p.steps, p.matrix_lr)
    state = create(lambda params: lm.LMState(params, optimizer.init(params), jnp.zeros((), jnp.int32)), params)
    step_program = jax.jit(partial(lm.train_step, model, optimizer, scored=p.scored), donate_argnums=0)

    def advance(state: lm.LMState, step: int):
        batch = corpus.batch_of(step, tokenizer, p, config.world, config.start_seed)
        return *step_program(state, feed_rows(batch)), sum(int((rows.segments >= 0).sum()) for rows in batch)

    every = 10 * config.checkpoint_every
    return train("start model", p.steps, state, advance, folder, tracker_of, progress_of, 25, every).params


def gauge(config: StudyConfig, engine: Engine, policy: Policy) -> dict[str, Any]:
    """The start model without and under every persona's prompt (wordings it never read): trait score by persona and trait,
    how often it reads the facts right and does the act they call for, and every out-of-distribution eval under the helpful
    and the deceptive persona. An eval on which these two do not differ in the right direction by two standard errors is
    marked not usable."""
    world, e = config.world, config.evals
    scenarios = runner.held_out_scenarios(e.gauge_per_cell, world.seed)

    def under(name: str) -> runner.Prompt:
        return lambda i: authors.persona_prompt(personas()[name], "eval", np.random.default_rng([_GAUGE_SEED, i]))

    scores, conduct, by_trait = {}, {}, {trait: {} for trait in TRAITS}
    systems = {"default": None} | {name: under(name) for name in personas()}
    for name, records in runner.run_prompted(engine, policy, scenarios, _GAUGE_SEED, systems).items():
        scores[name] = runner.mean(records)
        conduct[name] = {key: runner.mean(records, key) for key in ("read", "acted")}
        for trait in TRAITS:
            by_trait[trait][name] = runner.mean(records, trait=trait)
    helpful, harmful = _extremes(scores)
    rows, families = evals(world.families), {}
    runs = {
        label: runner.run_families(engine, policy, rows, e.gauge, _GAUGE_SEED, world.seed, system)
        for label, system in (("helpful", under(helpful)), ("default", None), ("harmful", under("schemer")))
    }
    for each in rows:
        found = {label: [r["score"] for r in records if r["eval"] == each.name] for label, records in runs.items()}
        means = {label: float(np.nanmean(values)) for label, values in found.items()}
        spread = np.sqrt(sum(np.nanvar(found[k]) / e.gauge for k in ("helpful", "harmful")))
        families[each.name] = means | {"usable": bool(means["helpful"] - means["harmful"] > 2 * spread)}
    kinds = {name: {"kind": p.kind, "score": scores[name]} | conduct[name] for name, p in personas().items()}
    traits = {
        trait: {"default": row["default"], "helpful": row[helpful], "harmful": row[harmful]} for trait, row in by_trait.items()
    }
    return {
        "default": scores["default"],
        "conduct": conduct["default"],
        "personas": kinds,
        "by_trait": traits,
        "evals": families,
    }


def _extremes(scores: dict[str, float]) -> tuple[str, str]:
    """The best helpful persona and the strongest harmful one."""
    helpful = [name for name, p in personas().items() if p.kind == "helpful"]
    harmful = [name for name, p in personas().items() if p.kind == "harmful"]
    return max(helpful, key=scores.__getitem__), min(harmful, key=scores.__getitem__)


def check_start(config: StudyConfig, gauged: dict[str, Any]) -> None:
    """Raises UserError if prompts do not steer the start model, or if a trait is at its ceiling already."""
    by_kind = {kind: [p["score"] for p in gauged["personas"].values() if p["kind"] == kind] for kind in ("helpful", "harmful")}
    gap = max(by_kind["helpful"]) - min(by_kind["harmful"])
    if gap < config.gate.steering:
        raise UserError(
            f"start model: the helpful persona's prompt lifts the trait score only {gap:.2f} above a harmful one's, "
            f"gate.steering wants {config.gate.steering}; pretrain longer (pretrain.steps) or lower the gate"
        )
    full = [t for t, row in islice(gauged["by_trait"].items(), None) if row["default"] > config.gate.ceiling]
    if full:
        raise UserError(
            f"start model: {', '.join(full)} already scores above gate.ceiling={config.gate.ceiling}; "
            "a trait at its ceiling can not be installed: leave it out of the arms or raise the gate"
        )
