"""Replies of several subjects to the same prompts, side by side, made again from the records' ids."""

from collections import Counter
from typing import Any

from traitrl_jax.config import StudyConfig
from traitrl_jax.data.schema import Message
from traitrl_jax.data.world.lexicon import load_trait
from traitrl_jax.data.world.scenario import make_scenario
from traitrl_jax.evals.runner import IN_DISTRIBUTION, TASKS, Record
from traitrl_jax.evals.suite import evals

PER_TRAIT, PER_EVAL = 3, 2


def side_by_side(config: StudyConfig, suite: dict[str, list[Record]]) -> list[dict[str, Any]]:
    """The first replies of every trait (in different domains) and of every eval, by subject. Chosen by position, not by
    score."""
    by_id = {name: {(r["eval"], r["id"]): r for r in records} for name, records in suite.items()}
    out, cells, count = [], set(), Counter()
    for record in next(iter(suite.values())):
        trait, cell = record.get("trait"), (record.get("trait"), record.get("domain"))
        group = trait or record["eval"]
        if record["eval"] == TASKS or (trait and cell in cells) or count[group] >= (PER_TRAIT if trait else PER_EVAL):
            continue
        cells.add(cell)
        count[group] += 1
        key = (record["eval"], record["id"])
        messages, rubric, title = _prompt(record, config)
        out.append(
            {
                "eval": record["eval"],
                "id": record["id"],
                "title": title,
                "prompt": [{"role": m.role, "content": m.content} for m in messages],
                "rubric": rubric,
                "replies": {name: _reply(found[key]) for name, found in by_id.items()},
            }
        )
    return out


def _reply(record: Record) -> dict[str, Any]:
    return {"thought": record["thought"], "text": record["reply"], "score": record["score"], "met": record.get("met", [])}


def _prompt(record: Record, config: StudyConfig) -> tuple[tuple[Message, ...], list[dict[str, Any]], str]:
    if record["eval"] == IN_DISTRIBUTION:
        _, pool, trait, domain, index = record["id"].split("/")
        scenario = make_scenario(trait, domain, pool, int(index), config.world.seed)
        rubric = [{"text": line.text, "points": line.points} for line in scenario.rubric]
        return scenario.messages, rubric, f"{load_trait(trait).title}, {domain}"
    (each,) = evals((record["eval"],))
    return each.make(int(record["id"].split("/")[-1]), config.world.seed).messages, [], record["eval"].replace("_", " ")
