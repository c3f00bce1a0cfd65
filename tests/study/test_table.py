"""The table of `traitrl eval`."""

import pytest

from traitrl_jax.config import ArmConfig, StudyConfig
from traitrl_jax.evals.records import write_records
from traitrl_jax.evals.suite import evals
from traitrl_jax.runtime.tracking import Stages
from traitrl_jax.study.folder import Folder
from traitrl_jax.study.table import bar, suite_rows, suite_table


def _record(name: str, score: float) -> dict:
    return {"eval": name, "id": name, "cluster": name, "score": score, "refused": False, "thought": "", "reply": ""}


def test_groups_are_means_over_their_evals(tmp_path):
    folder = Folder(StudyConfig("x", (ArmConfig("a"),), out=str(tmp_path)), Stages(1))
    group = evals()[0].group
    mine = [each.name for each in evals() if each.group == group]
    for subject, first in (("start", 0.0), ("a-seed-of-many", 1.0)):
        records = [_record(each.name, 0.5) for each in evals()]
        records += [_record("in_distribution", 0.25), _record("tasks", 0.125)]
        # more items of one eval must not weigh more than another eval
        records += [_record(mine[0], first), _record(mine[0], first)]
        write_records(folder / "evals" / subject / "records.jsonl", records)
    lines = suite_table(folder, ["start", "a-seed-of-many"]).splitlines()
    cells = {line[:28].strip(): [float(cell) for cell in line.split() if cell[0] in "01"][-2:] for line in lines[1:]}
    assert lines[0].split() == ["start", "a-seed-of-many"]
    assert len({len(line) for line in lines}) == 1
    assert cells["held-out scenarios"] == [0.25, 0.25]
    assert cells["standard tasks"] == [0.125, 0.125]
    assert cells[mine[0]] == [0.167, 0.833]
    others = 0.5 * (len(mine) - 1)
    expected = [round((others + score) / len(mine), 3) for score in (0.5 / 3, 2.5 / 3)]
    assert cells[f"{group} ({len(mine)} evals)"] == expected


def test_rows_leave_out_what_has_no_score():
    name = evals()[0].name
    records = [_record(name, 1.0), _record(name, 0.0) | {"refused": True}, _record(name, None), _record("tasks", 0.5)]
    records.append(_record(name, float("nan")))
    first, last = suite_rows(records)
    assert first == (evals()[0].group, name, 4, 0.5, 1 / 4)
    assert last == ("standard tasks", "tasks", 1, 0.5, 0.0)


def test_standard_tasks_are_shown_by_family(tmp_path):
    folder = Folder(StudyConfig("x", (ArmConfig("a"),), out=str(tmp_path)), Stages(1))
    scores = {"sorting": (1.0, 0.0), "lookup": (0.25, 0.25)}
    records = [_record("tasks", score) | {"family": name} for name, pair in scores.items() for score in pair]
    write_records(folder / "evals" / "start" / "records.jsonl", records)
    rows = [line.split() for line in suite_table(folder, ["start"]).splitlines()[1:]]
    assert [row[:-2] + row[-2:-1] for row in rows] == [
        ["standard", "tasks", "(2", "families)", "0.375"], ["sorting", "0.500"], ["lookup", "0.250"]
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("score", "drawn"), [(0.0, ""), (1.0, "█" * 8), (0.5, "█" * 4), (0.3, "██▍"), (float("nan"), ""), (1.7, "█" * 8)]
)
def test_a_bar_is_as_long_as_its_score(score, drawn):
    assert bar(score) == drawn
