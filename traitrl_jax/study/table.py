"""The suite's results as a plain table: groups of evals down, subjects across."""

from collections.abc import Sequence

from traitrl_jax.evals.records import read_records
from traitrl_jax.evals.runner import IN_DISTRIBUTION, TASKS, mean
from traitrl_jax.evals.suite import evals
from traitrl_jax.study.folder import Folder


def suite_table(folder: Folder, subjects: Sequence[str]) -> str:
    """Mean scores of the subjects whose suite is done: held-out scenarios, every group of evals, standard tasks.

    A group's score is the mean over its evals. Scores of a group are comparable across subjects, not across groups.
    """
    records = {name: read_records(folder / "evals" / name / "records.jsonl") for name in subjects}
    rows = [("", list(subjects)), _row("held-out scenarios", records, [IN_DISTRIBUTION])]
    there = {record["eval"] for found in records.values() for record in found}
    measured = [each for each in evals() if each.name in there]
    for group in dict.fromkeys(each.group for each in measured):
        names = [each.name for each in measured if each.group == group]
        rows.append(_row(f"{group} ({len(names)} evals)", records, names))
    rows.append(_row("standard tasks", records, [TASKS]))
    wide = max(len(label) for label, _ in rows)
    lines = (
        [label.ljust(wide), *(cell.rjust(max(7, len(name))) for cell, name in zip(cells, subjects, strict=True))]
        for label, cells in rows
    )
    return "\n".join("  ".join(line) for line in lines)


def _row(label: str, records: dict, names: Sequence[str]) -> tuple[str, list[str]]:
    scores = ([mean(found, eval=name) for name in names] for found in records.values())
    return label, [f"{sum(each) / len(each):.3f}" for each in scores]
