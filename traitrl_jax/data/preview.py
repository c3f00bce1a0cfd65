"""What the data look like, as plain text: for the command `traitrl data preview` and for doubts about a wording."""

import re
import shutil
import textwrap

import numpy as np

from traitrl_jax.config import UserError, WorldConfig
from traitrl_jax.data import tasks
from traitrl_jax.data.schema import Scenario
from traitrl_jax.data.world.authors import write_reply
from traitrl_jax.data.world.lexicon import TRAITS, domains, load_trait, personas
from traitrl_jax.data.world.pools import DOMAINS
from traitrl_jax.data.world.scenario import make_scenario, pick
from traitrl_jax.data.world.verifier import gold_score

SHOWN = ("steward", "schemer")  # the authors whose replies are shown
_MARGIN = 11  # columns left of the text
_WIDEST = 100


def preview_world(n: int, seed: int = 0) -> str:
    """`n` scenarios of the RL pool: conversation, rubric, what the twin changes, and two authors' replies with gold scores.

    The authors are shown in character: they follow the motive they state, whatever the study's motive_reliability.
    """
    _check(n)
    rng = np.random.default_rng(seed)
    cells = [(pick(rng, TRAITS), pick(rng, DOMAINS), int(rng.integers(1000))) for _ in range(n)]
    return "\n\n".join(_scenario(*cell, rng) for cell in cells)


def preview_tasks(n: int, seed: int = 0) -> str:
    """`n` standard tasks of every family, with their answers."""
    _check(n)
    parts = []
    for family in tasks.FAMILIES:
        made = [tasks.make_task(family, "rl", index, seed) for index in range(n)]
        parts.append("\n".join([family, *(_line("", f"{task.prompt}  ->  {task.answer}") for task in made)]))
    return "\n\n".join(parts)


def _check(n: int) -> None:
    if n < 1:
        raise UserError(f"--n {n}: give at least 1")


def _scenario(trait: str, domain: str, index: int, rng: np.random.Generator) -> str:
    scenario = make_scenario(trait, domain, "rl", index)
    twin = make_scenario(trait, domain, "rl", index ^ 1)
    lexicon, state = load_trait(trait), scenario.state
    old, new = _changed(scenario, twin)
    lines = [
        f"{scenario.id}  ({lexicon.title}; {domains()[domain]['title']})",
        _line("facts", f"call for: {lexicon.act_names[state['right']]}; the user wants: {lexicon.act_names[state['wish']]}"),
        "",
        *(_line(message.role, message.content) for message in scenario.messages),
        "",
        *(_line(f"{criterion.points:+g}", criterion.text) for criterion in scenario.rubric),
        "",
        _line("twin", f'says "{new}" for "{old}" and calls for: {lexicon.act_names[1 - state["right"]]}'),
    ]
    for name in SHOWN:
        reply = write_reply(scenario, personas()[name], WorldConfig(motive_reliability=1.0), rng)
        lines.append(_line(name, f"({reply.thought}) {reply.content}  = {gold_score(scenario, reply.content):.2f}"))
    return "\n".join(lines)


def _changed(scenario: Scenario, twin: Scenario) -> tuple[str, str]:
    """The sentence in which twins differ, as each of them says it."""
    told, turned = (_sentences(" ".join(message.content for message in each.messages)) for each in (scenario, twin))
    return next(pair for pair in zip(told, turned, strict=True) if pair[0] != pair[1])


def _sentences(text: str) -> list[str]:
    return re.split(r"(?<=[.?!])\s", text)


def _line(label: str, text: str) -> str:
    """`label` in the margin, `text` wrapped beside it to the width of the terminal."""
    width = max(40, min(_WIDEST, shutil.get_terminal_size().columns))
    return textwrap.fill(text, width, initial_indent=f"{label:>{_MARGIN - 2}}  ", subsequent_indent=" " * _MARGIN)
