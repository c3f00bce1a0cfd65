"""The smallest study as two real processes: stopped by a signal to one of them, continued, equal to one process."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.local_processes import PATIENCE, ROOT, finish, start_processes
from traitrl_jax.evals.records import read_records

pytestmark = pytest.mark.slow
BENCHMARKS = ROOT / "tests" / "evals" / "public" / "fixtures" / "k_qa"
SMALLER = (
    "tokenizer.conversations=100", "pretrain.steps=8", "pretrain.task_steps=2", "pretrain.brief_steps=2",
    "pretrain.careful_steps=1", "pretrain.matrix_lr=0", "grader.matrix_lr=0", "grader.examples=16", "grader.audit=16",
    "grader.steps=4", "rl.eval_items=4", "evals.gauge=2", "evals.per_family=2", "evals.batch=180", "evals.bootstrap=20",
    "attack.doses=1", "attack.per_family=2",
)  # fmt: skip
TIMES = {"data", "rollout", "grading", "update"}  # seconds of a step's phases


def arguments(out: Path) -> list[str]:
    sets = [word for override in (*SMALLER, f"out={out}") for word in ("--set", override)]
    return ["--config", "configs/smoke.py", *sets]


def begin(command: str, out: Path, count: int, devices: int, *more: str) -> list[subprocess.Popen]:
    argv = [sys.executable, "-m", "traitrl_jax.cli", command, *arguments(out), *more]
    return start_processes(argv, count, devices, JAX_COMPILATION_CACHE_DIR=str(out.parent / "compiled"))


def by_the_launcher(out: Path) -> list[subprocess.Popen]:
    """The entry that launch/tpu_vm.sh starts on every worker, as two local ones."""
    command = out.parent / "traitrl"
    command.write_text(f'#!/usr/bin/env bash\nexec {sys.executable} -m traitrl_jax.cli "$@"\n')
    command.chmod(0o755)
    argv = [str(ROOT / "launch" / "tpu_vm.sh"), "worker", "--", *arguments(out)]
    return start_processes(argv, 2, 1, TRAITRL=str(command), JAX_COMPILATION_CACHE_DIR=str(out.parent / "compiled"))


def metrics(path: Path) -> list[dict]:
    return [
        {name: value for name, value in json.loads(line).items() if name not in TIMES} for line in path.read_text().splitlines()
    ]


def same_numbers(found: list[dict], wanted: list[dict]) -> None:
    assert [row.keys() for row in found] == [row.keys() for row in wanted]
    for a, b in zip(found, wanted, strict=True):
        assert a == {name: pytest.approx(value, abs=1e-5, rel=1e-4) for name, value in b.items()}


def same_records(found: Path, wanted: Path) -> None:
    for a, b in zip(read_records(found), read_records(wanted), strict=True):
        assert (a["id"], a["reply"], a["thought"]) == (b["id"], b["reply"], b["thought"])
        assert a["score"] == pytest.approx(b["score"], abs=1e-5) or math.isnan(a["score"]) and math.isnan(b["score"])


def test_two_processes_run_the_same_study(tmp_path):
    codes, _, errors = finish(begin("study", tmp_path / "one", 1, 2))
    assert codes == [0], errors
    one, two = tmp_path / "one" / "smoke", tmp_path / "two" / "smoke"

    started = by_the_launcher(tmp_path / "two")
    watched, limit = two / "arms" / "trait-s0" / "metrics.jsonl", time.monotonic() + PATIENCE
    while not (watched.is_file() and watched.read_bytes().count(b"\n") >= 2):  # the curve's and the first step's line
        assert time.monotonic() < limit and all(process.poll() is None for process in started)
        time.sleep(0.01)
    started[1].send_signal(signal.SIGTERM)
    codes, _, errors = finish(started)
    assert codes == [143, 143], errors
    assert "traitrl: stopped at step" in errors[0] and "stopped at step" not in errors[1]
    stopped = int(errors[0].rsplit("stopped at step ", 1)[1].split()[0])
    saved = {int(p.name) for p in (two / "arms/trait-s0/checkpoints").iterdir() if p.name.isdigit()}
    assert max(saved) == stopped == max(row["step"] for row in metrics(watched))

    codes, outs, errors = finish(begin("study", tmp_path / "two", 2, 1))
    assert codes == [0, 0], errors
    assert "report:" in outs[0] and "report:" not in outs[1] and "[12/12]" in errors[0] and "[12/12]" not in errors[1]
    names = {path.relative_to(one) for path in one.rglob("metrics.jsonl")}
    assert len(names) == 7  # start model, rubric head, two arms, three subjects
    for name in names:
        same_numbers(metrics(two / name), metrics(one / name))
    for subject in ("start", "trait-s0"):
        same_records(two / "evals" / subject / "records.jsonl", one / "evals" / subject / "records.jsonl")

    # One process with one device reads what two wrote, and measures the same.
    kept = shutil.move(two / "evals" / "trait-s0", tmp_path / "measured by two")
    codes, _, errors = finish(begin("eval", tmp_path / "two", 1, 1))
    assert codes == [0], errors
    same_records(two / "evals/trait-s0/records.jsonl", Path(kept) / "records.jsonl")

    # Public benchmarks, judged by the head: two processes say what one does, and process 0 alone says it.
    public = ["--suite", "public", "--benchmarks", str(BENCHMARKS), "--judge", "head", "--subject", "start", "--max-new", "4"]
    found = []
    for count in (1, 2):
        place = tmp_path / f"public by {count}"
        codes, outs, errors = finish(begin("eval", tmp_path / "two", count, 1, *public, "--out", str(place)))
        assert codes == [0] * count, errors
        assert "results:" in outs[0] and not any("results:" in out for out in outs[1:]) and "[1/" in errors[0]
        items = (place / "start" / "k_qa_nli.nli" / "items.jsonl").read_text().splitlines()
        found.append([verdict for line in items for verdict in json.loads(line)["verdicts"]])
    assert found[1] == pytest.approx(found[0], abs=1e-4) and all(0 < p < 1 for p in found[0])


@pytest.mark.parametrize("command", ["chat", "bench"])
def test_commands_for_one_process_say_so(command):
    words = [command, "ppo"] if command == "bench" else [command]
    made = subprocess.run(
        [sys.executable, "-m", "traitrl_jax.cli", *words, "--config", "configs/smoke.py"],
        cwd=ROOT, env={**os.environ, "TRAITRL_PROCESSES": "auto"}, capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert made.returncode == 2 and "runs in one process; set TRAITRL_PROCESSES=one" in made.stderr
