"""Whole commands on the smallest study, as a user runs them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from traitrl_jax.data.world.formats import CORE
from traitrl_jax.evals.suite import evals

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
STAGES = 12  # of configs/smoke.py: tokenizer, start, gauge, grader, two arms, suite and attacks of three subjects


@pytest.fixture(scope="module")
def traitrl(tmp_path_factory):
    """Run a command on the smoke study of this module's folder; gives the finished process."""
    out = tmp_path_factory.mktemp("runs")

    def run(command: str, *more: str, typed: str = "", environment=()) -> subprocess.CompletedProcess:
        argv = [sys.executable, "-m", "traitrl_jax.cli", command, "--config", "configs/smoke.py", "--set", f"out={out}", *more]
        environment = {**os.environ, "JAX_PLATFORMS": "cpu", **dict(environment)}
        return subprocess.run(argv, cwd=ROOT, env=environment, input=typed, capture_output=True, text=True, timeout=1500)

    run.folder = out / "smoke"
    return run


@pytest.fixture(scope="module")
def study(traitrl):
    """The study, run once: (folder, the process that ran it)."""
    made = traitrl("study")
    assert made.returncode == 0, made.stderr
    return traitrl.folder, made


def test_a_study_ends_in_a_report(study):
    folder, made = study
    assert f"[{STAGES}/{STAGES}] attacks/trait-s0: " in made.stderr
    assert "trait score, held-out scenarios" in made.stdout
    assert f"report: {folder / 'report.html'}" in made.stdout
    assert "</html>" in (folder / "report.html").read_text(encoding="utf-8")
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert set(results["in_distribution"]["scores"]) == {"start", "baseline", "trait"}
    assert results["headline"]["of"] == sum(each.counted for each in evals(CORE))
    steps = [json.loads(line) for line in (folder / "arms" / "trait-s0" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in steps if "reward" in line] == [1, 2, 3, 4]


def test_a_quiet_study_has_nothing_but_stages_and_progress_on_stderr(study):
    _, made = study
    noise = [
        line
        for line in made.stderr.splitlines()
        if not line.startswith(("[", "start model", "rubric head", "baseline-", "trait-"))
    ]
    assert not noise


def test_running_it_again_does_nothing_but_the_report(traitrl, study):
    folder, _ = study
    before = {
        path: path.stat().st_mtime_ns for path in folder.rglob("*.json*") if path.name not in ("config.json", "results.json")
    }
    again = traitrl("study")
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("(done before)") == STAGES == len(again.stderr.splitlines())
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_train_and_eval_use_what_is_there(traitrl, study):
    made = traitrl("train", "--arm", "trait")
    assert made.stdout == f"trained: {study[0] / 'arms' / 'trait-s0'}\n"
    assert "baseline" not in made.stderr
    table = traitrl("eval", "--subject", "trait-s0")
    assert table.returncode == 0, table.stderr
    assert table.stdout.splitlines()[0].split() == ["trait-s0"]
    assert "standard tasks" in table.stdout


def test_the_report_is_made_anew_from_files(traitrl, study):
    folder, _ = study
    old = (folder / "report.html").read_text(encoding="utf-8")
    (folder / "report.html").unlink()
    assert traitrl("report").returncode == 0
    assert len((folder / "report.html").read_text(encoding="utf-8")) == pytest.approx(len(old), rel=0.01)  # times of day differ


def test_chat_with_every_subject(traitrl, study):
    for subject in ("start", "trait-s0"):
        made = traitrl(
            "chat", "--subject", subject, "--system", "Be brief.", typed="<assistant><answer>Hello there.\n/reset\nHi.\n"
        )
        assert made.returncode == 0, made.stderr
        assert made.stdout.count("\n") >= 2


def test_another_config_is_never_mixed_in(traitrl, study):
    made = traitrl("study", "--set", "pretrain.steps=31")
    assert made.returncode == 2
    assert "another config" in made.stderr.splitlines()[-1]


PUBLIC = ["--suite", "public", "--benchmarks", "tests/evals/public/fixtures", "--subject", "trait-s0", "--max-new", "4"]


def results_of(folder: Path) -> dict[str, dict]:
    return {row["name"]: row for row in json.loads((folder / "trait-s0" / "results.json").read_text())["benchmarks"]}


def test_public_benchmarks_judged_by_the_rubric_head(traitrl, study, tmp_path):
    """And on two virtual devices the same scores."""
    made = traitrl("eval", *PUBLIC, "--judge", "head", "--out", str(tmp_path / "one"))
    assert made.returncode == 0, made.stderr
    assert "judged by the study's own rubric head" in made.stdout
    one = results_of(tmp_path / "one")
    judged = [row for row in one.values() if row.get("kind") == "judge" and row["scored"]]
    assert len(judged) >= 5 and all(row["judge"].startswith("head ") for row in judged)
    mesh = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    made = traitrl("eval", *PUBLIC, "--judge", "head", "--out", str(tmp_path / "two"), environment=mesh)
    assert made.returncode == 0, made.stderr
    for name, row in results_of(tmp_path / "two").items():
        assert row["scored"] == one[name]["scored"], name
        assert row["score"] == pytest.approx(one[name]["score"], abs=1e-4), name


def test_a_judge_that_is_not_there(traitrl, study, tmp_path):
    made = traitrl("eval", *PUBLIC, "--judge", "nowhere.py", "--out", str(tmp_path))
    assert made.returncode == 2 and "or 'head'" in made.stderr
