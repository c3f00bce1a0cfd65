"""PPO on the real stream in two processes: the losses of one process, and one process continues what two began."""

import json
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.local_processes import PATIENCE, finish, start_processes

CHILD = Path(__file__).with_name("process_child.py")
TIMES = {"data", "rollout", "grading", "update"}  # seconds of a step's phases


def train(root: Path, count: int, devices: int, stop_after: int = 0) -> list[dict]:
    """The metrics of a training, each line a step; with `stop_after` the last process gets a SIGTERM once so many are there."""
    cache = {"JAX_COMPILATION_CACHE_DIR": str(root.parent / "compiled")}
    started = start_processes([sys.executable, str(CHILD), str(root)], count, devices, **cache)
    path, limit = root / "smoke" / "arm" / "metrics.jsonl", time.monotonic() + PATIENCE
    while stop_after and not (path.is_file() and path.read_bytes().count(b"\n") >= stop_after):
        assert time.monotonic() < limit and all(process.poll() is None for process in started)
        time.sleep(0.01)
    if stop_after:
        started[-1].send_signal(signal.SIGTERM)
    codes, _, errors = finish(started)
    assert codes == [143 if stop_after else 0] * count, errors
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [{name: value for name, value in row.items() if name not in TIMES} for row in rows if "reward" in row]


def same(found: list[dict], wanted: list[dict]) -> None:
    assert [row["step"] for row in found] == [row["step"] for row in wanted] == [1, 2, 3, 4, 5]
    for a, b in zip(found, wanted, strict=True):
        assert a.keys() == b.keys() and np.isfinite([value for value in b.values() if value is not None]).all()
        assert a == {name: pytest.approx(value, abs=1e-5, rel=1e-4) for name, value in b.items()}


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path):
    one = train(tmp_path / "one", 1, 2)
    same(train(tmp_path / "two", 2, 1), one)
    assert len({row["policy_loss"] for row in one}) == 5

    begun = train(tmp_path / "broken", 2, 1, stop_after=3)  # lines: the curve's, then one a step
    assert 2 <= len(begun) < 5
    same(train(tmp_path / "broken", 1, 2), one)  # the same mesh: on another one, rounding may tip a sampled token
