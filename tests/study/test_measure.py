"""The suite in parts: what a killed run has measured is not measured again."""

from types import SimpleNamespace

import pytest

from traitrl_jax.config import ArmConfig, EvalConfig, StudyConfig, WorldConfig
from traitrl_jax.data.world.formats import CORE
from traitrl_jax.study import measure

CONFIG = StudyConfig("x", (ArmConfig("a"),), world=WorldConfig(families=CORE), evals=EvalConfig(per_family=8, batch=12))


@pytest.fixture
def calls(monkeypatch) -> list:
    """Names of the sets that were measured, in order."""
    asked = []

    def records(*names: str) -> list[dict]:
        asked.append(names)
        return [
            {"eval": name, "id": name, "cluster": name, "score": 0.5, "refused": False, "thought": "", "reply": "\u2028"}
            for name in names
        ]

    fake = SimpleNamespace(
        Record=dict,
        run_scenarios=lambda *_: records("in_distribution"),
        run_families=lambda _, __, families, *___: records(*(each.name for each in families)),
        run_tasks=lambda *_: records("tasks"),
        held_out_scenarios=lambda *_: [],
    )
    monkeypatch.setattr(measure, "runner", fake)
    return asked


def suite(folder) -> list[dict]:
    return measure.run_suite(CONFIG, None, None, folder)


def test_every_eval_is_measured_once_in_parts(calls, tmp_path):
    found = suite(tmp_path)
    assert [record["eval"] for record in found] == [name for names in calls for name in names]
    assert sorted(record["eval"] for record in found) == sorted(("in_distribution", "tasks", *CORE))
    assert {len(names) for names in calls[1:-1]} == {6, 2}  # 4 batches of 12 are 6 evals of 8


def test_a_killed_run_goes_on_behind_the_last_part(calls, tmp_path):
    whole = suite(tmp_path / "whole")
    calls.clear()

    def killed(*_):
        raise KeyboardInterrupt

    tasks = measure.runner.run_tasks
    measure.runner.run_tasks = killed
    with pytest.raises(KeyboardInterrupt):
        suite(tmp_path / "killed")
    measure.runner.run_tasks = tasks
    calls.clear()
    assert suite(tmp_path / "killed") == whole
    assert calls == [("tasks",)]
    measure.drop_parts(tmp_path / "killed")
    assert list((tmp_path / "killed").iterdir()) == []
