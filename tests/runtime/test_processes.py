"""Real processes on the CPU: what one does alone, agreement, failure, and one training over several of them."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.local_processes import PATIENCE, finish, start_processes
from traitrl_jax.config import UserError
from traitrl_jax.runtime import processes

CHILD = Path(__file__).with_name("process_child.py")


def start(scenario: str, folder: Path, count: int, devices: int = 1) -> list[subprocess.Popen]:
    return start_processes([sys.executable, str(CHILD), scenario, str(folder)], count, devices)


def study(folder: Path, count: int, devices: int = 1) -> Path:
    codes, outs, errors = finish(start("study", folder, count, devices))
    assert codes == [0] * count, errors
    facts = [json.loads(line) for out in outs for line in out.splitlines() if line.startswith("{")]
    assert facts == [{"processes": count, "devices": count * devices}], "process 0 alone speaks"
    assert not [text for text in errors[1:] if "[1/2]" in text or "tiny" in text]
    return folder / "tiny"


def losses(folder: Path) -> list[float]:
    rows = [json.loads(line) for line in (folder / "start" / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, len(rows) + 1)), "every step once"
    return [row["loss"] for row in rows]


def params(folder: Path) -> np.ndarray:
    return np.array(json.loads((folder / "measured" / "params.json").read_text()))


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ({}, None),
        ({"JAX_COORDINATOR_ADDRESS": "a:1"}, None),
        ({"TRAITRL_PROCESSES": "auto"}, {}),
        ({"TPU_WORKER_HOSTNAMES": "a,b"}, {}),
        ({"TPU_WORKER_HOSTNAMES": "a"}, None),
        ({"TPU_WORKER_HOSTNAMES": "a,b", "TRAITRL_PROCESSES": "one"}, None),
    ],
)
def test_what_the_environment_says(environment, found):
    assert processes.wanted(environment) == found


def test_all_three_names_together():
    given = {"JAX_COORDINATOR_ADDRESS": "a:1", "JAX_NUM_PROCESSES": "4", "JAX_PROCESS_ID": "3"}
    found = processes.wanted(given)
    assert found["coordinator_address"] == "a:1" and (found["num_processes"], found["process_id"]) == (4, 3)


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"JAX_NUM_PROCESSES": "2", "JAX_PROCESS_ID": "0"}, "but not JAX_COORDINATOR_ADDRESS; set all of"),
        ({"JAX_COORDINATOR_ADDRESS": "a:1", "JAX_PROCESS_ID": "0"}, "but not JAX_NUM_PROCESSES"),
        ({"JAX_COORDINATOR_ADDRESS": "a:1", "JAX_NUM_PROCESSES": "2", "JAX_PROCESS_ID": "2"}, "between 0 and"),
        ({"JAX_COORDINATOR_ADDRESS": "a:1", "JAX_NUM_PROCESSES": "x", "JAX_PROCESS_ID": "2"}, "whole numbers"),
        ({"TRAITRL_PROCESSES": "some"}, "TRAITRL_PROCESSES='some': must be auto or one"),
    ],
)
def test_an_incomplete_environment(environment, message):
    with pytest.raises(UserError, match=message):
        processes.wanted(environment)


def test_one_process_needs_nobody():
    assert processes.count() == 1 and processes.is_first()
    assert processes.from_first("x", lambda a: a + 1, 2) == 3
    assert processes.any_process(True) and not processes.any_process(False)


@pytest.mark.slow
def test_values_and_agreement(tmp_path):
    codes, _, errors = finish(start("values", tmp_path, 2))
    assert codes == [0, 0], errors


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scenario", "code", "message"),
    [
        ("first refuses", 2, "error: process 0 can not"),
        ("one fails", 2, "error: process 1 can not"),
        ("one crashes", 1, "ZeroDivisionError: process 1 is broken"),
    ],
)
def test_if_one_fails_all_end_and_one_says_why(tmp_path, scenario, code, message):
    begun = time.monotonic()
    found, _, errors = finish(start(scenario, tmp_path, 2))
    assert found == [code, code], errors
    assert "".join(errors).count(message) == 1
    assert "Check failure" not in "".join(errors), "no process is aborted"
    assert time.monotonic() - begun < PATIENCE - 100, "nobody waits for the process that failed"


@pytest.mark.slow
def test_a_folder_that_only_one_process_sees(tmp_path):
    for i in range(2):
        (tmp_path / str(i)).mkdir()
    codes, _, errors = finish(start("not shared", tmp_path, 2))
    assert codes == [2, 2]
    assert "".join(errors).count("not every process sees what process 0 writes there") == 1


@pytest.mark.slow
def test_two_processes_equal_one_and_continue_each_others_runs(tmp_path):
    one = study(tmp_path / "one", 1, 2)
    two = study(tmp_path / "two", 2, 1)
    np.testing.assert_allclose(losses(two), losses(one), atol=1e-5)
    np.testing.assert_allclose(params(two), params(one), atol=1e-5)
    assert sorted(p.name for p in two.rglob("*.json*")) == sorted(p.name for p in one.rglob("*.json*"))

    # SIGTERM to one of two processes stops both after the same step; one process with one device continues and ends alike.
    broken = tmp_path / "broken"
    started = start("slow study", broken, 2)
    metrics = broken / "tiny" / "start" / "metrics.jsonl"
    limit = time.monotonic() + PATIENCE
    while not (metrics.is_file() and metrics.read_bytes().count(b"\n") >= 2):
        assert time.monotonic() < limit and all(process.poll() is None for process in started)
        time.sleep(0.02)
    started[1].send_signal(signal.SIGTERM)
    codes, _, errors = finish(started)
    assert codes == [processes.STOPPED] * 2, errors
    assert errors[0].splitlines()[-1].startswith("traitrl: stopped at step ")
    assert "stopped at step" not in errors[1]
    stopped = int(errors[0].splitlines()[-1].split("step ")[1].split()[0])
    saved = {int(p.name) for p in (broken / "tiny/start/checkpoints").iterdir() if p.name.isdigit()}
    assert max(saved) == stopped == len(losses(broken / "tiny")) < 10
    study(broken, 1, 1)
    np.testing.assert_allclose(losses(broken / "tiny"), losses(one), atol=1e-5)
    np.testing.assert_allclose(params(broken / "tiny"), params(one), atol=1e-5)


@pytest.mark.slow
def test_two_processes_continue_what_one_began(tmp_path):
    one = study(tmp_path / "one", 1, 1)
    (started,) = start("slow study", tmp_path / "broken", 1)
    metrics = tmp_path / "broken" / "tiny" / "start" / "metrics.jsonl"
    while not (metrics.is_file() and metrics.read_bytes().count(b"\n") >= 2):
        assert started.poll() is None
        time.sleep(0.02)
    started.send_signal(signal.SIGTERM)
    codes, _, errors = finish([started])
    assert codes == [processes.STOPPED], errors
    study(tmp_path / "broken", 2, 2)
    np.testing.assert_allclose(losses(tmp_path / "broken" / "tiny"), losses(one), atol=1e-5)
