"""Files are whole or absent, and every disk fault is a line that says what to do."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from traitrl_jax.config import UserError
from traitrl_jax.runtime import files
from traitrl_jax.runtime.files import (
    check_writable,
    folder_lock,
    machine,
    peak_memory_gb,
    plain,
    read_json,
    versions,
    write_json_atomic,
    write_text_atomic,
)


def test_atomic_text(tmp_path, monkeypatch):
    path = tmp_path / "new" / "report.html"
    write_text_atomic(path, "old é\r\n")
    assert path.read_bytes() == "old é\r\n".encode()

    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(UserError, match=r"report.html: can not be written: the disk is full; .*--set out="):
        write_text_atomic(path, "new")
    assert path.read_text() == "old é\n" and [p.name for p in path.parent.iterdir()] == ["report.html"]


def test_json(tmp_path):
    path = tmp_path / "results.json"
    value = {"a": float("nan"), 3: (np.float32(0.5), np.asarray([1, 2]), Path("x") / "y"), "n": None, "t": True}
    write_json_atomic(path, value)
    assert read_json(path) == {"a": None, "3": [0.5, [1, 2], "x/y"], "n": None, "t": True} == plain(value)
    with pytest.raises(UserError, match="missing.json: no such file"):
        read_json(tmp_path / "missing.json")
    path.write_text('{"a": 1,\n "b": ')
    with pytest.raises(UserError, match=r"results.json:2: broken JSON"):
        read_json(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="can not be read"):
        read_json(path)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.EPERM])
def test_read_only_folder(tmp_path, monkeypatch, code):
    def fail(*_, **__):
        raise OSError(code, os.strerror(code))

    check_writable(tmp_path / "runs")
    assert list((tmp_path / "runs").iterdir()) == []
    monkeypatch.setattr(files.tempfile, "NamedTemporaryFile", fail)
    with pytest.raises(UserError, match=r"runs: output folder: not writable; .*--set out=\.\.\."):
        check_writable(tmp_path / "runs")


def test_free_space_and_file_in_the_way(tmp_path):
    check_writable(tmp_path, megabytes=1)
    with pytest.raises(UserError, match=r"\d+ MB free, the run needs 1000000000000"):
        check_writable(tmp_path, megabytes=10**12)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file"):
        check_writable(tmp_path / "file")


def test_lock_names_the_holder_and_dies_with_it(tmp_path):
    hold = (
        "import sys; from traitrl_jax.runtime.files import folder_lock\n"
        "with folder_lock(sys.argv[1]):\n print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", hold, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=f"process {child.pid} on .* works in this folder"), folder_lock(tmp_path):
            pass
        child.kill()
    with folder_lock(tmp_path):
        assert (tmp_path / ".lock").read_text().startswith(f"{os.getpid()} on ")
    with folder_lock(tmp_path):
        pass


def test_machine(monkeypatch):
    assert peak_memory_gb() > 0.005
    assert machine()["cores"] >= 1
    monkeypatch.setattr(files, "_search", lambda *_: None)  # no /proc
    found = machine()
    assert found["memory_gb"] is None and isinstance(found["cpu"], str)
    assert json.dumps(found)


def test_versions():
    found = versions()
    assert found["python"].startswith("3.") and {"jax", "flax", "orbax-checkpoint"} <= set(found)
