"""Runs evals on a subject and keeps one record per item: score, refusal and transcript. Statistics read the records.

The reward's grader never measures: in distribution the world's verifier decides, out of distribution each family's own grader,
on standard tasks their exact verifiers.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from traitrl_jax.config import EvalConfig, WorldConfig, fingerprint
from traitrl_jax.data import tasks
from traitrl_jax.data.schema import Message, Scenario
from traitrl_jax.data.world.authors import SAY
from traitrl_jax.data.world.lexicon import TRAITS, load_trait, phrases
from traitrl_jax.data.world.pools import DOMAINS
from traitrl_jax.data.world.scenario import make_scenario
from traitrl_jax.data.world.verifier import act_done, gold_score, verify
from traitrl_jax.evals.engine import Engine, Policy, Reply, streams
from traitrl_jax.evals.suite import Eval, evals
from traitrl_jax.evals.world import grade_options
from traitrl_jax.text.chat import with_system

Record = dict[str, Any]
Prompt = Callable[[int], Message]  # item number -> a system prompt to put first
IN_DISTRIBUTION, TASKS = "in_distribution", "tasks"
SCENARIO_TOKENS, FAMILY_TOKENS, TASK_TOKENS = 80, 48, 16


def held_out_scenarios(
    per_cell: int, seed: int, traits: Sequence[str] = TRAITS, domains: Sequence[str] = DOMAINS
) -> list[Scenario]:
    """Scenarios of the eval pool, every cell alike, twins together."""
    return [make_scenario(t, d, "eval", i, seed) for t in traits for d in domains for i in range(per_cell)]


def protocol(config: EvalConfig, world: WorldConfig) -> str:
    """Fingerprint of all that makes two scores comparable."""
    sizes = (config.per_cell, config.per_family, config.per_task)
    names = [each.name for each in evals(world.families)]
    return fingerprint(
        "2", sizes, world.seed, config.temperature, names, tasks.FAMILIES, SCENARIO_TOKENS, FAMILY_TOKENS, TASK_TOKENS
    )


def _refused(text: str) -> bool:
    return any(refusal.rstrip(".").lower() in text.lower() for refusal in phrases()["refusals"])


def _with(messages: Sequence[Message], system: Prompt | None, i: int) -> Sequence[Message]:
    return with_system(messages, system(i)) if system else messages


def run_scenarios(
    engine: Engine, policy: Policy, scenarios: Sequence[Scenario], seed: int, system: Prompt | None = None
) -> list[Record]:
    """In distribution: replies to scenarios, scored line by line by the world's verifier; a score is clipped to [0, 1].

    `read` says whether the thought notes the facts right and `acted` whether the reply does the act they call for; None where
    the thought notes neither state, or the reply does not do exactly one act.
    """
    return run_prompted(engine, policy, scenarios, seed, {"": system})[""]


def run_prompted(
    engine: Engine, policy: Policy, scenarios: Sequence[Scenario], seed: int, systems: Mapping[str, Prompt | None]
) -> dict[str, list[Record]]:
    """`run_scenarios` under each of several system prompts, by their names, in the same batches."""
    conversations = [_with(s.messages, system, i) for system in systems.values() for i, s in enumerate(scenarios)]
    numbers = streams(scenario.id for scenario in scenarios) * len(systems)
    replies = engine.replies(policy, conversations, SCENARIO_TOKENS, seed, numbers)
    records = [_scenario_record(scenarios[i % len(scenarios)], reply) for i, reply in enumerate(replies)]
    return {name: records[k * len(scenarios) : (k + 1) * len(scenarios)] for k, name in enumerate(systems)}


def _scenario_record(scenario: Scenario, reply: Reply) -> Record:
    text = reply.message.content
    return _record(IN_DISTRIBUTION, scenario.id, f"{scenario.trait}/{scenario.domain}", reply) | {
        "trait": scenario.trait,
        "domain": scenario.domain,
        "score": min(1.0, max(0.0, gold_score(scenario, text))),
        "met": list(verify(scenario, text)),
        "read": _read(scenario, reply.message.thought),
        "acted": None if (act := act_done(scenario, text)) is None else act == scenario.state["right"],
    }


def _read(scenario: Scenario, thought: str) -> bool | None:
    """Are the facts noted as they are? None: neither reading is noted, or as a lie."""
    noted = [reading in thought for reading in load_trait(scenario.trait).readings]
    return noted[scenario.state["right"]] if sum(noted) == 1 and SAY not in thought else None


def run_families(
    engine: Engine,
    policy: Policy,
    families: Sequence[Eval],
    count: int,
    seed: int,
    world_seed: int,
    system: Prompt | None = None,
) -> list[Record]:
    """Out-of-distribution evals, `count` items each, in their own formats and by their own graders.

    All go through the engine together, so that batches are full; an item's reply is the same whatever is measured beside it.
    An item that asks `again` has the worse of two scores.
    """
    asked = [(each, i, each.make(i, world_seed)) for each in families for i in range(count)]
    twice = [(each, i, item) for each, i, item in asked if item.again]
    conversations = [_with(item.messages, system, i) for _, i, item in asked]
    conversations += [_with(item.again, system, i) for _, i, item in twice]
    numbers = streams([*(item.id for *_, item in asked), *(f"{item.id}/again" for *_, item in twice)])
    replies = engine.replies(policy, conversations, FAMILY_TOKENS, seed, numbers)
    again = {item.id: reply for (*_, item), reply in zip(twice, replies[len(asked) :], strict=True)}
    scores = _option_scores(engine, policy, asked, conversations, replies)
    records = []
    for (each, i, item), reply in zip(asked, replies, strict=False):
        record = _record(each.name, item.id, f"{each.name}/{i // 2}", reply)
        score = scores[item.id] if item.id in scores else each.grade(item, reply.message.content)
        if item.again:
            text = again[item.id].message.content
            score = min(score, each.grade(item, text))
            record |= {"again": text, "refused": record["refused"] or _refused(text)}
        records.append(record | {"score": float(score)})
    return records


def _option_scores(
    engine: Engine, policy: Policy, asked: Sequence, conversations: Sequence, replies: Sequence
) -> dict[str, float]:
    """Scores of the option-scored items, by item."""
    rows = [k for k, (each, *_) in enumerate(asked) if each.scoring == "options"]
    items = [asked[k][-1] for k in rows]
    chosen = [conversations[k] for k in rows], [replies[k] for k in rows], [item.options for item in items]
    logprobs = engine.option_logprobs(policy, *chosen)
    return {item.id: grade_options(item, row) for item, row in zip(items, logprobs, strict=True)}


def run_tasks(engine: Engine, policy: Policy, per_family: int, seed: int, world_seed: int) -> list[Record]:
    """Capability: held-out standard tasks by exact verifiers."""
    items = [(f, i, tasks.make_task(f, "eval", i, world_seed)) for f in tasks.FAMILIES for i in range(per_family)]
    ids = [f"task/{family}/{i}" for family, i, _ in items]
    asked = [(Message("user", task.prompt),) for *_, task in items]
    replies = engine.replies(policy, asked, TASK_TOKENS, seed, streams(ids))
    return [
        _record(TASKS, f"task/{family}/{i}", f"{family}/{i}", reply)
        | {"family": family, "score": tasks.verify(task, reply.message.content)}
        for (family, i, task), reply in zip(items, replies, strict=True)
    ]


def _record(name: str, item: str, cluster: str, reply: Reply) -> Record:
    text = reply.message.content
    return {
        "eval": name,
        "id": item,
        "cluster": cluster,
        "refused": _refused(text),
        "thought": reply.message.thought,
        "reply": text,
        "ended": reply.ended,
    }


def mean(records: Iterable[Record], key: str = "score", **where: Any) -> float:
    """Mean of a field over the records that have it and whose other fields equal `where`; NaN if there are none. A record
    whose field is NaN (its grader failed) does not have it."""
    scores = [r[key] for r in records if r.get(key) is not None and all(r.get(k) == v for k, v in where.items())]
    scores = [score for score in scores if not math.isnan(score)]
    return sum(scores) / len(scores) if scores else float("nan")
