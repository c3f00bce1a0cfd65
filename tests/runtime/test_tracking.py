"""metrics.jsonl survives kills and resumes; W&B never holds a run up; progress fits a terminal and a log."""

import io
import json
import sys
import time
import types

import numpy as np
import pytest

from traitrl_jax.config import TrackConfig, UserError
from traitrl_jax.runtime import tracking
from traitrl_jax.runtime.tracking import Progress, Stages, Tracker, duration, read_metrics

OFF = TrackConfig(mode="disabled")


@pytest.fixture(autouse=True)
def no_account(monkeypatch, tmp_path):
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))


def run(folder, first, last, resume_step=None):
    with Tracker(folder, OFF, "arm", resume_step=resume_step) as tracker:
        for step in range(first, last + 1):
            tracker.log(step, {"reward": step / 7, "kl": 0.5})


def test_lines_are_plain_json(tmp_path):
    with Tracker(tmp_path, OFF, "arm") as tracker:
        tracker.log(np.int64(1), {"a": np.float32(0.5), "b": float("nan"), "c": np.asarray(np.inf), "d": None, "e": 3})
        assert read_metrics(tmp_path / "metrics.jsonl") == [{"step": 1, "a": 0.5, "b": None, "c": None, "d": None, "e": 3}]
    assert not list(tmp_path.glob("wandb*"))


def test_resumed_file_equals_uninterrupted(tmp_path):
    run(tmp_path / "whole", 1, 10)
    run(tmp_path / "killed", 1, 8)
    with open(tmp_path / "killed" / "metrics.jsonl", "a") as file:
        file.write('{"step": 9, "rew')
    run(tmp_path / "killed", 6, 10, resume_step=5)
    assert (tmp_path / "killed" / "metrics.jsonl").read_bytes() == (tmp_path / "whole" / "metrics.jsonl").read_bytes()
    run(tmp_path / "killed", 1, 10)  # no checkpoint yet: from the beginning
    assert (tmp_path / "killed" / "metrics.jsonl").read_bytes() == (tmp_path / "whole" / "metrics.jsonl").read_bytes()
    assert [p.name for p in (tmp_path / "killed").iterdir()] == ["metrics.jsonl"]


@pytest.mark.parametrize("tail", ['{"step": 3, "rew', "{", '{"step"', '{"step": 3}'])
def test_torn_last_line(tmp_path, tail):
    run(tmp_path, 1, 2)
    path = tmp_path / "metrics.jsonl"
    path.write_text(path.read_text() + tail)
    assert [row["step"] for row in read_metrics(path)] == ([1, 2, 3] if tail.endswith("}") else [1, 2])
    run(tmp_path, 4, 4, resume_step=3)
    assert [row["step"] for row in read_metrics(path)] == ([1, 2, 3, 4] if tail.endswith("}") else [1, 2, 4])


def test_broken_file_is_named(tmp_path):
    with pytest.raises(UserError, match="no metrics there"):
        read_metrics(tmp_path / "metrics.jsonl")
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\nnonsense\n{"step": 2}\n')
    with pytest.raises(UserError, match=r"metrics.jsonl:2: no metrics line: 'nonsense'"):
        read_metrics(tmp_path / "metrics.jsonl")
    (tmp_path / "metrics.jsonl").write_text("")
    assert read_metrics(tmp_path / "metrics.jsonl") == []


def test_full_disk(tmp_path):
    def fail():
        raise OSError(28, "No space left on device")

    with Tracker(tmp_path, OFF, "arm") as tracker:
        file = tracker._file
        tracker._file = types.SimpleNamespace(write=lambda _: None, flush=fail, name=file.name, close=file.close)
        with pytest.raises(UserError, match=r"metrics.jsonl: metrics of step 3: the disk is full"):
            tracker.log(3, {})


def test_unknown_mode(tmp_path):
    with pytest.raises(UserError, match="track.mode='on': must be auto, offline or disabled"):
        Tracker(tmp_path, TrackConfig(mode="on"), "arm")


def test_other_processes_write_nothing(tmp_path, monkeypatch):
    second = types.SimpleNamespace(process_index=lambda: 1, process_count=lambda: 2)
    second.distributed = types.SimpleNamespace(is_initialized=lambda: True)
    monkeypatch.setitem(sys.modules, "jax", second)
    stream = io.StringIO()
    with Tracker(tmp_path / "run", TrackConfig(), "arm") as tracker, Progress(2, "arm", stream=stream) as progress:
        tracker.log(1, {"reward": 1.0})
        progress.update(2)
    with Stages(1, stream=stream).stage("report"):
        pass
    assert not (tmp_path / "run").exists() and stream.getvalue() == ""


def test_offline_without_key_keeps_its_id(tmp_path):
    import wandb

    ids = set()
    for resume in (None, 2):
        with Tracker(tmp_path, TrackConfig(), "arm", {"lr": 1e-3, "arms": ("a", "b")}, resume_step=resume) as tracker:
            assert tracker._run.offline
            tracker.table("suite", ("eval", "score"), [("own_error", 0.5), ("tasks", float("nan"))])
            for step in (1, 2, 3):
                tracker.log(step, {"reward": float("nan") if step == 2 else 0.5})
            ids.add(tracker._run.id)
    wandb.teardown()
    assert ids == {(tmp_path / "wandb_id.txt").read_text()}
    assert len(list((tmp_path / "wandb").glob("offline-run-*"))) == 2


def test_key_but_no_network_falls_back(tmp_path, monkeypatch, capfd):
    import wandb

    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # nothing listens there
    monkeypatch.setattr(tracking, "INIT_SECONDS", 1.0)
    start = time.monotonic()
    with Tracker(tmp_path, TrackConfig(), "arm") as tracker:
        tracker.log(1, {"reward": 0.5})
        assert tracker._run.offline
    wandb.teardown()
    assert time.monotonic() - start < 10
    assert "W&B can not be reached" in capfd.readouterr().err
    assert read_metrics(tmp_path / "metrics.jsonl") == [{"step": 1, "reward": 0.5}]


@pytest.mark.parametrize("broken", ["import", "log", "finish"])
def test_failing_wandb_costs_nothing(tmp_path, monkeypatch, capsys, broken):
    def fail(*_, **__):
        raise RuntimeError("no such project")

    ran = types.SimpleNamespace(step=0, log=lambda *_, **__: None, finish=lambda: None)
    if broken == "import":
        monkeypatch.setitem(sys.modules, "wandb", None)
    else:
        setattr(ran, broken, fail)
        monkeypatch.setattr(tracking, "_start_wandb", lambda *_: ran)
    with Tracker(tmp_path, TrackConfig(), "arm") as tracker:
        tracker.log(1, {"reward": 0.5})
        tracker.log(2, {"reward": 0.6})
        tracker.table("suite", ("eval",), [("tasks",)])
    assert [row["step"] for row in read_metrics(tmp_path / "metrics.jsonl")] == [1, 2]
    assert capsys.readouterr().err.count("\n") == {"import": 1, "log": 1, "finish": 0}[broken]


def test_mode_follows_key_and_environment(tmp_path, monkeypatch):
    assert not tracking._has_wandb_key()
    (tmp_path / "no-netrc").write_text("machine api.wandb.ai\n  login user\n  password secret\n")
    (tmp_path / "no-netrc").chmod(0o600)
    assert tracking._has_wandb_key()
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.org")
    assert not tracking._has_wandb_key()
    (tmp_path / "no-netrc").write_text("nonsense")
    assert not tracking._has_wandb_key()
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert tracking._start_wandb(tmp_path, TrackConfig(), "arm", {}) is None


class Clock:
    """Stands in for the time module: a second per call."""

    def __init__(self, step=1.0):
        self.now, self.step = 0.0, step

    def monotonic(self):
        self.now += self.step
        return self.now


def test_progress_in_a_log(monkeypatch):
    monkeypatch.setattr(tracking, "time", Clock())
    stream = io.StringIO()
    with Progress(40, "trait-s0", show=("reward", "kl"), every=10, stream=stream) as progress:
        for step in range(1, 36):
            progress.update(step, {"reward": np.float32(0.25), "kl": None, "other": 9.0}, tokens=100)
    lines = stream.getvalue().splitlines()
    assert lines == [
        "trait-s0 10/40  reward 0.25  100 tok/s  30.0 s left",
        "trait-s0 20/40  reward 0.25  100 tok/s  20.0 s left",
        "trait-s0 30/40  reward 0.25  100 tok/s  10.0 s left",
        "trait-s0 35/40  reward 0.25  100 tok/s  5.0 s left",
    ]


def test_progress_on_a_terminal(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("COLUMNS", "24")
    stream = Terminal()
    with Progress(2, "trait-s0", show=("reward",), start=1, stream=stream) as progress:
        progress.update(1, {"reward": float("nan")})
        progress.update(2, {"reward": 0.123456})
    first, second = stream.getvalue().split("\r")[1:3]
    assert first == "trait-s0 1/2  reward na\x1b[K" and second == "trait-s0 2/2  reward 0.\x1b[K"
    assert stream.getvalue().endswith("\x1b[K\n")


def test_stages(monkeypatch):
    monkeypatch.setattr(tracking, "time", Clock(step=65.0))
    stream = io.StringIO()
    stages = Stages(3, stream=stream)
    stages.skip("tokenizer")
    with stages.stage("start model"):
        pass
    with pytest.raises(ValueError), stages.stage("rubric head"):
        raise ValueError
    assert stream.getvalue().splitlines() == [
        "[1/3] tokenizer (done before)",
        "[2/3] start model ...",
        "[2/3] start model: 1:05 min",
        "[3/3] rubric head ...",
        "[3/3] rubric head: stopped after 1:05 min",
    ]
    assert stages.seconds == {"start model": 65.0}


def test_duration():
    assert [duration(s) for s in (0.04, 59.9, 60, 245.4, 7390)] == ["0.0 s", "59.9 s", "1:00 min", "4:05 min", "2:03:10 h"]


def test_lines_are_flushed_one_by_one(tmp_path):
    with Tracker(tmp_path, OFF, "arm") as tracker:
        for step in (1, 2):
            tracker.log(step, {"reward": step})
            assert json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])["step"] == step
