"""What a record's model was asked, made again from the record's id: transcripts and exports show it beside the reply."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from traitrl_jax.data import tasks
from traitrl_jax.data.world.lexicon import load_trait
from traitrl_jax.data.world.scenario import make_scenario
from traitrl_jax.evals.runner import IN_DISTRIBUTION, TASKS
from traitrl_jax.evals.suite import evals
from traitrl_jax.text.chat import Message


class Asked(NamedTuple):
    """An item as a reader sees it."""

    messages: tuple[Message, ...]
    title: str
    rubric: tuple[dict[str, Any], ...] = ()  # {"text", "points"}; empty where no rubric is scored
    again: tuple[Message, ...] = ()  # a second conversation, apart from the first, where an eval asks twice


def asked(record: Mapping[str, Any], world_seed: int) -> Asked:
    """The item of a record: its own `messages` ([{"role", "content"}]) where it kept them, else the world's item of its id.

    Raises ValueError for an eval or id that the world does not have.
    """
    name, title = record["eval"], record["eval"].replace("_", " ")
    if kept := record.get("messages"):
        return Asked(tuple(Message(turn["role"], turn["content"]) for turn in kept), title)
    if name == IN_DISTRIBUTION:
        _, pool, trait, domain, index = record["id"].split("/")
        scenario = make_scenario(trait, domain, pool, int(index), world_seed)
        rubric = tuple({"text": line.text, "points": line.points} for line in scenario.rubric)
        return Asked(scenario.messages, f"{load_trait(trait).title}, {domain}", rubric)
    index = int(record["id"].split("/")[-1])
    if name == TASKS:
        task = tasks.make_task(record["family"], "eval", index, world_seed)
        return Asked((Message("user", task.prompt),), f"task: {record['family'].replace('_', ' ')}")
    (each,) = evals((name,))
    item = each.make(index, world_seed)
    return Asked(item.messages, title, again=item.again)
