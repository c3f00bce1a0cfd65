"""From record files to results.json: what the report shows and what a reader may quote. No model is loaded here.

A change is treated minus baseline, paired by item and seed; intervals resample clusters (scenario templates, twin pairs) and,
with several seeds, runs.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from traitrl_jax.config import StudyConfig, fingerprint
from traitrl_jax.data.world.lexicon import TRAITS, load_trait, personas
from traitrl_jax.data.world.pools import DOMAINS
from traitrl_jax.evals import stats
from traitrl_jax.evals.bootstrap import block, change
from traitrl_jax.evals.records import read_records
from traitrl_jax.evals.runner import IN_DISTRIBUTION, TASKS, Record, mean
from traitrl_jax.evals.suite import evals
from traitrl_jax.runtime.files import machine, read_json, versions
from traitrl_jax.runtime.tracking import read_metrics
from traitrl_jax.study.folder import Folder
from traitrl_jax.study.measure import ATTACK_PROMPTS, protocol, subjects
from traitrl_jax.study.transcripts import side_by_side

Suite = dict[str, list[Record]]  # subject -> records


def collect(config: StudyConfig, folder: Folder) -> dict[str, Any]:
    """All numbers of a study whose stages are done."""
    names = subjects(config)
    stats.refuse_to_mix({name: read_json(folder / "evals" / name / "protocol.json")["protocol"] for name in names})
    suite = {name: read_records(folder / "evals" / name / "records.jsonl") for name in names}
    gauged = read_json(folder / "start" / "gauge" / "gauge.json")
    arms = {"start": ["start"], **{arm.name: [f"{arm.name}-s{seed}" for seed in config.seeds] for arm in config.arms}}
    baseline, treated = comparison(config)
    measured = evals(config.world.families)
    rows = [_eval_row(config, suite, arms, each, gauged["evals"][each.name], baseline, treated) for each in measured]
    seconds, peak = folder.facts()
    trained = {arm.name: arm.traits or TRAITS for arm in config.arms}
    return {
        "study": config.name,
        "fingerprint": fingerprint(config),
        "protocol": protocol(config),
        "config": asdict(config),
        "versions": versions(),
        "machine": machine(),
        "seconds": seconds,
        "peak_memory_gb": peak,
        "start": {key: gauged[key] for key in ("default", "conduct", "personas", "by_trait")},
        "grader": read_json(folder / "grader" / "audit.json"),
        "arms": [_arm(config, arm) for arm in config.arms],
        "headline": headline(rows, baseline, treated),
        "evals": rows,
        "traits": [
            {"trait": t, "title": load_trait(t).title, "trained": t in trained.get(treated, ())}
            | _level(config, suite, arms, baseline, treated, eval=IN_DISTRIBUTION, trait=t)
            for t in TRAITS
        ],
        "in_distribution": _level(config, suite, arms, baseline, treated, eval=IN_DISTRIBUTION),
        "left_out": left_out(config, suite, arms, baseline, treated),
        "cells": {
            "traits": list(TRAITS),
            "domains": list(DOMAINS),
            "scores": {
                name: [[_pooled(suite, runs, eval=IN_DISTRIBUTION, trait=t, domain=d) for d in DOMAINS] for t in TRAITS]
                for name, runs in arms.items()
            },
        },
        "tasks": _level(config, suite, arms, baseline, treated, eval=TASKS)
        | {
            "by_family": {
                family: {name: _pooled(suite, runs, eval=TASKS, family=family) for name, runs in arms.items()}
                for family in dict.fromkeys(r["family"] for r in suite["start"] if r["eval"] == TASKS)
            }
        },
        "refusal": {"scores": {name: _refusals(suite, runs) for name, runs in arms.items()}},
        "curves": {
            f"{arm.name}-s{seed}": _curve(
                arm.name, seed, read_metrics(folder / "arms" / f"{arm.name}-s{seed}" / "metrics.jsonl")
            )
            for arm in config.arms
            for seed in config.seeds
        },
        "persona_attack": persona_attack(config, folder, arms),
        "finetune_attack": finetune_attack(config, folder, arms),
        "transcripts": side_by_side(config, {name: suite[runs[0]] for name, runs in arms.items()}),
    }


def comparison(config: StudyConfig) -> tuple[str, str]:
    """(baseline, treated): the first arm whose dose is standard data (else the start model) and the first other arm."""
    baseline = next((arm.name for arm in config.arms if arm.reward == "standard"), "start")
    return baseline, next((arm.name for arm in config.arms if arm.reward != "standard"), baseline)


def left_out(config: StudyConfig, suite: Suite, arms: dict, baseline: str, treated: str) -> dict[str, Any]:
    """Trained traits and traits (or domains) that the treated arm never saw, apart: what transfers. Empty where it saw all."""
    (arm,) = [arm for arm in config.arms if arm.name == treated] or [None]
    out = {}
    for field, every in (("trait", TRAITS), ("domain", DOMAINS)):
        seen = getattr(arm, f"{field}s", ()) if arm else ()
        if seen:
            unseen = tuple(name for name in every if name not in seen)
            for label, names in (("trained", tuple(seen)), ("left out", unseen)):
                where = {"eval": IN_DISTRIBUTION, field: names}
                out[f"{label} {field}s"] = _level(config, suite, arms, baseline, treated, **where)
    return out


def _arm(config: StudyConfig, arm) -> dict[str, Any]:
    fields = {
        "name": arm.name,
        "dose": arm.dose,
        "reward": arm.reward,
        "traits": list(arm.traits),
        "domains": list(arm.domains),
    }
    return fields | {"seeds": list(config.seeds)}


def _pooled(suite: Suite, runs: Sequence[str], **where: Any) -> float:
    """Mean score over the runs of an arm."""
    return float(np.mean([np.mean([r["score"] for r in suite[run] if _is(r, where)]) for run in runs]))


def _differences(suite: Suite, treated: Sequence[str], baseline: Sequence[str], where: dict) -> tuple[np.ndarray, list[str]]:
    """Treated minus baseline [S, N] on every item of every pair of seeds (a start model pairs with every seed); clusters."""
    per_run = []
    for i, run in enumerate(treated):
        other = {r["id"]: r["score"] for r in suite[baseline[i % len(baseline)]] if _is(r, where)}
        mine = [r for r in suite[run] if _is(r, where)]
        per_run.append(np.array([r["score"] - other[r["id"]] for r in mine]))
    return np.stack(per_run), [r["cluster"] for r in mine]


def _is(record: Record, where: dict) -> bool:
    """Do the record's fields equal those of `where`? A tuple stands for any of its values."""
    return all(
        record.get(key) in value if isinstance(value, tuple) else record.get(key) == value for key, value in where.items()
    )


def _level(config: StudyConfig, suite: Suite, arms: dict, baseline: str, treated: str, **where: Any) -> dict[str, Any]:
    """Level of every arm, and the change with its interval."""
    moved = change([block(*_differences(suite, arms[treated], arms[baseline], where))], config.evals.bootstrap)
    return {
        "scores": {name: _pooled(suite, runs, **where) for name, runs in arms.items()},
        "change": moved.mean,
        "interval": [moved.low, moved.high],
        "p": moved.p,
    }


def _eval_row(config, suite: Suite, arms: dict, each, gauge: dict, baseline: str, treated: str) -> dict[str, Any]:
    row = _level(config, suite, arms, baseline, treated, eval=each.name)
    return row | {
        "name": each.name,
        "group": each.group,
        "counted": each.counted,
        "chance": each.chance,
        "card": asdict(each.card),
        "gauge": gauge,
    }


def headline(rows: list[dict], baseline: str, treated: str) -> dict[str, Any]:
    """k of n counted evals improved, mean change, sign test, and by name what moved after Benjamini-Hochberg (q < .05).

    Adds q to every row. Evals the start model's gauge calls not usable are counted all the same: leaving them out after the
    fact would be a choice; `usable` gives the count without them.
    """
    counted = [row for row in rows if row["counted"]]
    for row in rows:
        row["q"] = None
    for row, q in zip(counted, stats.benjamini_hochberg(np.array([row["p"] for row in counted])), strict=True):
        row["q"] = float(q)
    changes = np.array([row["change"] for row in counted])
    usable = [row for row in counted if row["gauge"]["usable"]]
    suite = change([block(changes, range(len(changes)))])  # over evals: these are a sample of those one could ask
    wins = int((changes > 0).sum())
    return {
        "baseline": baseline,
        "treated": treated,
        "improved": wins,
        "of": len(counted),
        "usable": {"improved": int(sum(row["change"] > 0 for row in usable)), "of": len(usable)},
        "mean_change": suite.mean,
        "interval": [suite.low, suite.high],
        "sign_p": stats.sign_test(wins, int((changes != 0).sum())),
        "better": [row["name"] for row in counted if row["q"] < 0.05 and row["change"] > 0],
        "worse": [row["name"] for row in counted if row["q"] < 0.05 and row["change"] < 0],
        "fell": [row["name"] for row in counted if row["change"] < 0],
    }


def _refusals(suite: Suite, runs: Sequence[str]) -> dict[str, float]:
    """Share of replies that refuse: on the over-refusal evals (benign prompts) and everywhere else but tasks."""
    benign = {each.name for each in evals() if not each.counted}
    records = [r for run in runs for r in suite[run] if r["eval"] != TASKS]
    groups = {"benign": [r for r in records if r["eval"] in benign], "all": [r for r in records if r["eval"] not in benign]}
    return {name: mean(rows, "refused") for name, rows in groups.items()}


def _curve(arm: str, seed: int, lines: list[dict]) -> dict[str, Any]:
    """Training metrics and held-out measurements by step."""
    steps = [line for line in lines if "reward" in line]
    curve = [line for line in lines if "eval/gold" in line]

    def column(rows: list[dict], key: str) -> list[float | None]:
        return [row.get(key) for row in rows]

    return {
        "arm": arm,
        "seed": seed,
        "step": column(steps, "step"),
        "reward": column(steps, "reward"),
        "reward_trait": column(steps, "reward/trait"),
        "sequence_kl": column(steps, "sequence_kl"),
        "entropy": column(steps, "entropy"),
        "eval_step": column(curve, "step"),
        "proxy": column(curve, "eval/proxy"),
        "gold": column(curve, "eval/gold"),
        "tasks": column(curve, "eval/tasks"),
    }


def _with_interval(records: Sequence[list[Record]], config: StudyConfig) -> tuple[float, list[float]]:
    """Mean score over runs with its interval."""
    scores = np.array([[r["score"] for r in run] for run in records])
    level = change([block(scores, [r["cluster"] for r in records[0]])], config.evals.bootstrap)
    return level.mean, [level.low, level.high]


def persona_attack(config: StudyConfig, folder: Folder, arms: dict[str, list[str]]) -> list[dict[str, Any]]:
    """Level under every prompt, then points lost and share kept against no prompt."""
    out = []
    for name, runs in arms.items():
        found = [read_records(folder / "attacks" / run / "personas.jsonl") for run in runs]
        base = None
        for prompt in ("none", *ATTACK_PROMPTS):
            level, interval = _with_interval([[r for r in run if r["prompt"] == prompt] for run in found], config)
            base = level if base is None else base
            kind = "none" if prompt == "none" else personas()[prompt].kind
            out.append({"subject": name, "prompt": prompt, "kind": kind, "score": level, "interval": interval})
            out[-1] |= {"lost": None if kind == "none" else base - level, "kept": level / base if base > 0.02 else None}
    return out


def finetune_attack(config: StudyConfig, folder: Folder, arms: dict[str, list[str]]) -> list[dict[str, Any]]:
    """Level after every dose of harmful fine-tuning: narrow, elsewhere (with interval) and out of distribution."""
    out = []
    for name, runs in arms.items():
        found = [read_records(folder / "attacks" / run / "harmful_tuning.jsonl") for run in runs]
        base = None
        for dose in (0, *sorted(config.attack.doses)):
            at = [[r for r in run if r["dose"] == dose] for run in found]
            where = {w: [[r for r in run if r["where"] == w] for run in at] for w in ("narrow", "elsewhere", "ood")}
            level, interval = _with_interval(where["elsewhere"], config)
            base = level if base is None else base
            out.append(
                {
                    "subject": name,
                    "dose": dose,
                    "narrow": _with_interval(where["narrow"], config)[0],
                    "elsewhere": level,
                    "ood": _with_interval(where["ood"], config)[0],
                    "interval": interval,
                    "lost": base - level,
                    "kept": level / base if base > 0.02 else None,
                }
            )
    return out
