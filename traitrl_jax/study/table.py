"""The suite's results as rows, for W&B, and as a plain table with bars: evals by group down, subjects across."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from traitrl_jax.evals.records import read_records
from traitrl_jax.evals.runner import IN_DISTRIBUTION, TASKS, Record, mean
from traitrl_jax.evals.suite import evals
from traitrl_jax.study.folder import Folder

_BEFORE, _BEHIND = "held-out scenarios", "standard tasks"
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_BAR = 8  # characters of a score of 1


class SuiteRow(NamedTuple):
    """One eval on one subject."""

    group: str
    eval: str
    items: int
    score: float  # mean over items; those without a score (the grader failed) are left out
    refused: float  # share of items


def suite_rows(records: Sequence[Record]) -> list[SuiteRow]:
    """What is in a subject's records: held-out scenarios, evals in the registry's order, standard tasks by family."""
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(record.get("family", record["eval"]) if record["eval"] == TASKS else record["eval"], []).append(record)
    families = dict.fromkeys(record.get("family", TASKS) for record in records if record["eval"] == TASKS)
    order = [(_BEFORE, IN_DISTRIBUTION), *((each.group, each.name) for each in evals())]
    order += [(_BEHIND, family) for family in families]
    return [
        SuiteRow(group, name, len(found[name]), mean(found[name]), mean(found[name], "refused"))
        for group, name in order
        if name in found
    ]


def suite_table(folder: Folder, subjects: Sequence[str]) -> str:
    """Mean scores of the subjects whose suite is done: held-out scenarios, evals under their group, families of standard tasks.

    A group's score is the mean over its rows. Scores of an eval are comparable across subjects, not across evals.
    """
    scores = {
        subject: {
            (row.group, row.eval): row.score for row in suite_rows(read_records(folder / "evals" / subject / "records.jsonl"))
        }
        for subject in subjects
    }
    keys = list(dict.fromkeys(key for mine in scores.values() for key in mine))
    rows = []
    for group in dict.fromkeys(group for group, _ in keys):
        inside = [key for key in keys if key[0] == group]
        several = inside[0][1] not in (IN_DISTRIBUTION, TASKS)
        noun = "families" if group == _BEHIND else "evals" if len(inside) > 1 else "eval"
        count = f" ({len(inside)} {noun})" if several else ""
        rows.append((group + count, _means(scores, inside)))
        rows += [(f"  {key[1]}", _means(scores, [key])) for key in inside if several]
    wide = max(len(label) for label, _ in rows)
    width = max(5 + 1 + _BAR, *(len(subject) for subject in subjects))
    lines = [("", subjects), *((label, [f"{score:5.3f} {bar(score):{_BAR}}" for score in cells]) for label, cells in rows)]
    return "\n".join("  ".join([label.ljust(wide), *(cell.ljust(width) for cell in cells)]) for label, cells in lines)


def _means(scores: Mapping[str, Mapping[tuple[str, str], float]], keys: Iterable[tuple[str, str]]) -> list[float]:
    keys = list(keys)
    return [sum(mine.get(key, float("nan")) for key in keys) / len(keys) for mine in scores.values()]


def bar(score: float) -> str:
    """A bar of block characters, as long as the score in [0, 1]; none for NaN."""
    eighths = round(8 * _BAR * min(1.0, max(0.0, score))) if score == score else 0
    return ("█" * (eighths // 8) + _EIGHTHS[eighths % 8]).rstrip()
