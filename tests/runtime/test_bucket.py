"""Plain files of a run in a bucket, with a file system in memory in the bucket's place: no cloud is reached."""

import fsspec
import pytest
from etils.epath import gpath
from fsspec.implementations.memory import MemoryFileSystem

from traitrl_jax.config import ArmConfig, StudyConfig, TrackConfig, UserError
from traitrl_jax.evals.records import read_records, write_records
from traitrl_jax.runtime.files import (
    absolute,
    check_writable,
    folder_lock,
    in_bucket,
    path_of,
    read_json,
    write_json_atomic,
)
from traitrl_jax.runtime.tracking import Stages, Tracker, read_metrics
from traitrl_jax.study.folder import Folder

QUIET = TrackConfig(mode="disabled")


class Bucket(MemoryFileSystem):
    protocol = "gcs"
    store: dict = {}
    pseudo_dirs = [""]

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(path.removeprefix("gs://"))


@pytest.fixture
def bucket(monkeypatch):
    """A folder in an empty bucket."""
    monkeypatch.setattr(gpath, "_is_tf_installed", lambda: False)  # else TensorFlow would ask the real thing
    fsspec.register_implementation("gcs", Bucket, clobber=True)
    Bucket.store.clear()
    Bucket.pseudo_dirs[:] = [""]
    return path_of("gs://bucket/runs")


def test_paths():
    assert not in_bucket(path_of("runs")) and path_of("runs").name == "runs"
    found = path_of("gs://bucket/runs") / "quick"
    assert in_bucket(found) and str(found) == "gs://bucket/runs/quick"
    assert path_of(found) is found and absolute(found) is found
    assert str(path_of(str(found))) == str(found)


def test_files_are_written_and_read(bucket):
    check_writable(bucket, megabytes=10**12)  # free space is not asked for
    with folder_lock(bucket), folder_lock(bucket):  # nothing is held
        write_json_atomic(bucket / "a" / "b.json", {"x": 1.5})
    assert read_json(bucket / "a" / "b.json") == {"x": 1.5}
    with pytest.raises(UserError, match=r"gs://bucket/runs/none.json: no such file"):
        read_json(bucket / "none.json")
    record = {"eval": "e", "id": "i", "cluster": "c", "score": 1.0, "refused": False, "thought": "", "reply": "r"}
    write_records(bucket / "records.jsonl", [record])
    assert read_records(bucket / "records.jsonl") == [record]


def test_metrics_are_there_after_every_line_and_cut_on_resume(bucket):
    with Tracker(bucket / "arm", QUIET, "arm") as tracker:
        for step in (1, 2, 3):
            tracker.log(step, {"reward": step / 2})
            assert len(read_metrics(bucket / "arm" / "metrics.jsonl")) == step
    with Tracker(bucket / "arm", QUIET, "arm", resume_step=1) as tracker:
        tracker.log(2, {"reward": 7.0})
    found = read_metrics(bucket / "arm" / "metrics.jsonl")
    assert [(row["step"], row["reward"]) for row in found] == [(1, 0.5), (2, 7.0)]


def test_stages_are_done_once(bucket):
    folder = Folder(StudyConfig("quick", (ArmConfig("a"),), out=str(bucket)), Stages(2))
    with folder.stage("start", 1) as place:
        assert str(place) == "gs://bucket/runs/quick/start"
    with folder.stage("start", 1) as place:
        assert place is None
    assert folder.done("start") and not folder.done("grader")
    assert list(folder.facts()[0]) == ["start"]
    with pytest.raises(UserError, match="was made with another config"), folder.stage("start", 2):
        pass
