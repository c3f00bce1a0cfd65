"""Replies of several subjects to the same prompts, side by side, made again from the records' ids."""

from collections import Counter
from typing import Any

from traitrl_jax.config import StudyConfig
from traitrl_jax.evals.prompts import Asked, asked
from traitrl_jax.evals.runner import TASKS, Record

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
        item = asked(record, config.world.seed)
        out.append(
            {
                "eval": record["eval"],
                "id": record["id"],
                **shown(item),
                "replies": {name: reply(found[key]) for name, found in by_id.items()},
            }
        )
    return out


def shown(item: Asked) -> dict[str, Any]:
    """An item as the report's files hold it: title, prompt and rubric."""
    prompt = [{"role": m.role, "content": m.content} for m in item.messages]
    prompt += [{"role": f"{m.role}, asked apart", "content": m.content} for m in item.again]
    return {"title": item.title, "prompt": prompt, "rubric": list(item.rubric)}


def reply(record: Record) -> dict[str, Any]:
    """A reply as the report's files hold it; a second one, to a question asked apart, stands behind it."""
    text = " / ".join([record["reply"], *([record["again"]] if "again" in record else [])])
    return {"thought": record["thought"], "text": text, "score": record["score"], "met": record.get("met", [])}
