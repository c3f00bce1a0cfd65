"""A study that was killed again and again ends bit for bit where an uninterrupted one ends."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
SEED = 5
SMALLER = (
    "tokenizer.conversations=200", "pretrain.steps=200", "grader.examples=32", "grader.audit=16", "rl.steps=12",
    "rl.eval_every=5", "rl.eval_items=4", "evals.gauge=2", "evals.per_family=2", "evals.bootstrap=20", "attack.doses=1",
    "attack.per_family=2",
)  # fmt: skip
FACTS = ("seconds", "peak_memory_gb")  # of results.json: true of one run, not of the study
PATIENCE = 900  # seconds; on an idle machine the longest wait is a minute


class Interruption(NamedTuple):
    stage: str  # in which it must fall
    signal: int
    ready: Callable[[Path], bool]  # of the study's folder: it may come now


def lines(count: int, stage: str) -> Callable[[Path], bool]:
    """Are there `count` lines of the stage's metrics?"""

    def ready(folder: Path) -> bool:
        path = folder / stage / "metrics.jsonl"
        return path.is_file() and path.read_bytes().count(b"\n") >= count

    return ready


def interruptions(rng: random.Random) -> list[Interruption]:
    """In the order in which a study meets them. Pretraining logs every 25 steps, RL every step."""
    return [
        Interruption("start", signal.SIGKILL, lines(rng.randint(1, 3), "start")),
        Interruption("start", signal.SIGTERM, lines(rng.randint(4, 6), "start")),
        Interruption("start/gauge", signal.SIGKILL, lambda folder: (folder / "start/gauge/begun.json").is_file()),
        Interruption("arms/baseline-s0", signal.SIGKILL, lines(rng.randint(3, 9), "arms/baseline-s0")),
        Interruption("arms/trait-s0", signal.SIGTERM, lines(rng.randint(2, 5), "arms/trait-s0")),
        Interruption("arms/trait-s0", signal.SIGKILL, lines(rng.randint(7, 9), "arms/trait-s0")),
        Interruption("evals/start", signal.SIGKILL, lambda folder: (folder / "evals/start/part-0.jsonl").is_file()),
        Interruption("attacks/start", signal.SIGKILL, lambda folder: (folder / "attacks/start/personas.jsonl").is_file()),
    ]


def begin(out: Path, cache: Path) -> subprocess.Popen:
    sets = [word for override in (*SMALLER, f"out={out}") for word in ("--set", override)]
    command = [sys.executable, "-m", "traitrl_jax.cli", "study", "--config", "configs/smoke.py", *sets]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "JAX_COMPILATION_CACHE_DIR": str(cache)}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def interrupt(out: Path, cache: Path, how: Interruption, delay: float) -> None:
    """Start the study, wait for the moment and `delay` seconds more, send the signal."""
    folder = out / "smoke"
    process = begin(out, cache)
    try:
        limit = time.monotonic() + PATIENCE
        while not how.ready(folder):
            assert process.poll() is None, f"ended before {how.stage}: {process.stderr.read()}"
            assert time.monotonic() < limit, f"{how.stage} did not come"
            time.sleep(0.005)
        time.sleep(delay)
        process.send_signal(how.signal)
        _, told = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.wait()
    assert not (folder / how.stage / "stage.json").exists(), f"{how.stage} was over before the signal came"
    if how.signal == signal.SIGTERM:
        assert process.returncode == 143, told
        assert told.splitlines()[-1].startswith("traitrl: stopped at "), told
        assert "the same command continues" in told.splitlines()[-1]
    else:
        assert process.returncode == -signal.SIGKILL, told


def finish(out: Path, cache: Path) -> Path:
    process = begin(out, cache)
    _, told = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, told
    return out / "smoke"


def arrays(folder: Path) -> dict[str, np.ndarray]:
    """Every array of the newest step of every checkpoint folder: models, and all that training carries."""
    newest: dict[Path, Path] = {}
    for state in folder.rglob("state"):
        place = state.parent.parent
        newest[place] = max(newest.get(place, state), state, key=lambda path: int(path.parent.name))
    found = {}
    for place, state in newest.items():
        tree = ocp.StandardCheckpointer().restore(state)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
            found[f"{place.relative_to(folder)}{jax.tree_util.keystr(path)}"] = np.asarray(leaf)
    return found


def test_an_interrupted_study_ends_like_an_uninterrupted_one(tmp_path):
    cache = tmp_path / "compiled"
    whole = finish(tmp_path / "whole", cache)
    rng = random.Random(SEED)
    for how in interruptions(rng):
        interrupt(tmp_path / "broken", cache, how, rng.uniform(0.0, 0.15))
    broken = finish(tmp_path / "broken", cache)

    expected, found = arrays(whole), arrays(broken)
    assert {"start/model", "grader/model", "arms/baseline-s0/model", "arms/trait-s0/model"} <= {
        n.split("[")[0] for n in expected
    }
    assert set(expected) == set(found)
    different = [n for n in expected if expected[n].dtype != found[n].dtype or not np.array_equal(expected[n], found[n])]
    assert not different

    kept = {p.relative_to(whole) for pattern in ("*.jsonl", "gauge.json", "audit.json") for p in whole.rglob(pattern)}
    assert len(kept) == 4 + 2 + 3 * 4  # metrics; gauge and audit; records and scores of three subjects
    assert not [str(name) for name in kept if (whole / name).read_bytes() != (broken / name).read_bytes()]

    one, other = (json.loads((folder / "results.json").read_text()) for folder in (whole, broken))
    for results in (one, other):
        results["config"].pop("out")
    assert {k: v for k, v in one.items() if k not in (*FACTS, "fingerprint")} == {
        k: v for k, v in other.items() if k not in (*FACTS, "fingerprint")
    }
