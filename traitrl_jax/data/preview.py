"""What the data look like, as plain text: for the command `traitrl data preview` and for doubts about a wording."""

import re
import shutil
import textwrap

import numpy as np

from traitrl_jax.config import UserError, WorldConfig, unknown
from traitrl_jax.data import standard, tasks
from traitrl_jax.data.authored import authored_scenarios
from traitrl_jax.data.files import read_scenarios
from traitrl_jax.data.schema import Scenario
from traitrl_jax.data.world.authors import write_reply
from traitrl_jax.data.world.lexicon import TRAITS, domains, load_trait, personas
from traitrl_jax.data.world.pools import DOMAINS
from traitrl_jax.data.world.scenario import make_scenario, pick
from traitrl_jax.data.world.verifier import gold_score
from traitrl_jax.text.terminal import harmless

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


def preview_problems(n: int, seed: int = 0) -> str:
    """`n` standard problems of every family and level, with their reference replies."""
    _check(n)
    parts = []
    for family in standard.FAMILIES:
        for i in range(n * len(standard.LEVELS)):
            problem = standard.make_problem(family, "train", i, seed)
            parts.append(
                f"{family}, level {problem.level}\n{_line('prompt', problem.prompt)}\n{_line('answer', problem.answer)}"
            )
    return "\n\n".join(parts)


def preview_scenarios(n: int, seed: int = 0, trait: str = "", domain: str = "", file: str = "") -> str:
    """`n` authored scenarios (or of a `file`) of a trait and domain: conversation, rubric, and its replies with verdicts.

    Raises UserError for unknown names and where there is nothing to show.
    """
    _check(n)
    scenarios = read_scenarios(file, allow_new_traits=True) if file else list(authored_scenarios())
    for what, name, known in (
        ("trait", trait, {s.trait for s in scenarios}),
        ("domain", domain, {s.domain for s in scenarios}),
    ):
        if name and name not in known:
            raise unknown(what, name, sorted(known))
    found = [s for s in scenarios if trait in ("", s.trait) and domain in ("", s.domain)]
    if not found:
        raise UserError(f"no scenario of trait {trait!r} in domain {domain!r}; leave one of them out")
    order = np.random.default_rng(seed).permutation(len(found))[:n]
    return "\n\n".join(_authored(found[i]) for i in order)


def _authored(scenario: Scenario) -> str:
    facts = ", ".join(part for part in (scenario.trait, scenario.domain, scenario.split, scenario.pressure) if part)
    lines = [f"{scenario.id}  ({facts})", ""]
    lines += [_line(message.role, message.content) for message in scenario.messages] + [""]
    for i, criterion in enumerate(scenario.rubric):
        verdicts = ", ".join(f"{reply.kind} {'meets' if reply.met[i] else 'does not'}" for reply in scenario.replies)
        lines.append(_line(f"{criterion.points:+g}", f"{criterion.text}{f'  [{verdicts}]' if verdicts else ''}"))
    for reply in scenario.replies:
        lines += ["", _line(reply.kind, f"{reply.content}  = {scenario.score(reply.met):.2f}")]
    return "\n".join(lines)


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
    """`label` in the margin, `text` wrapped beside it to the width of the terminal; line breaks of the text stay."""
    width = max(40, min(_WIDEST, shutil.get_terminal_size().columns))
    margin = " " * _MARGIN
    parts = [textwrap.fill(part, width, initial_indent=margin, subsequent_indent=margin) for part in harmless(text).split("\n")]
    return f"{label:>{_MARGIN - 2}}  " + "\n".join(parts)[_MARGIN:]
