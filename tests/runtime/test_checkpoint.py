"""Checkpoints come back bit for bit, whatever kills the run; what can not be read is said in the user's words."""

import os
import shutil
import signal
import subprocess
import sys
import time
from typing import Any, NamedTuple

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from traitrl_jax.config import UserError
from traitrl_jax.runtime.checkpoint import Checkpoints, StopSignal, load_params, save_params


class State(NamedTuple):
    params: Any
    optimizer: Any
    step: Any


@pytest.fixture
def state():
    params = {
        "w": jax.random.normal(jax.random.key(0), (3, 5)),
        "layers": [jnp.ones(4), {"b": jnp.full((2,), 0.1, jnp.bfloat16)}],
    }
    return State(params, optax.adam(1e-3).init(params), jnp.asarray(7, jnp.int32))


def assert_equal(left, right):
    assert jax.tree.structure(left) == jax.tree.structure(right)
    for a, b in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


def test_round_trip_into_abstract_target(tmp_path, state):
    with Checkpoints(tmp_path / "run", keep=2) as checkpoints:
        assert checkpoints.latest() is None
        for step in (10, 20, 30):
            checkpoints.save(step, state._replace(step=jnp.asarray(step)), {"row": step * 64, "kl": {"beta": 0.1}})
        assert checkpoints.latest() == 30
    with Checkpoints(tmp_path / "run", keep=2) as checkpoints:
        assert checkpoints.steps() == [20, 30]
        for step in (20, 30):
            restored, meta = checkpoints.restore(step, jax.eval_shape(lambda: state))
            assert_equal(restored, state._replace(step=jnp.asarray(step)))
            assert meta == {"row": step * 64, "kl": {"beta": 0.1}}


def test_donated_state_and_changed_meta_do_not_reach_the_save(tmp_path):
    scale = jax.jit(lambda x: x * 0 - 1, donate_argnums=0)
    array, meta = jnp.arange(500_000, dtype=jnp.float32), {"row": 1}
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, {"x": array}, meta)
        scale(array).block_until_ready()
        meta["row"] = 2
    with Checkpoints(tmp_path) as checkpoints:
        restored, kept = checkpoints.restore(1, {"x": jax.ShapeDtypeStruct((500_000,), jnp.float32)})
    np.testing.assert_array_equal(restored["x"], np.arange(500_000))
    assert kept == {"row": 1}


def test_given_sharding_is_used(tmp_path, state):
    mesh = jax.sharding.Mesh(np.asarray(jax.devices()[:1]), ("data",))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, {"x": jnp.arange(8.0)}, {})
        restored, _ = checkpoints.restore(1, {"x": jax.ShapeDtypeStruct((8,), jnp.float32, sharding=sharding)})
    assert restored["x"].sharding == sharding


def test_steps_only_grow(tmp_path, state):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(5, state, {"first": True})
        checkpoints.save(5, state, {"first": False})
        assert checkpoints.restore(5, state)[1] == {"first": True}
        with pytest.raises(UserError, match="step 4 can not be saved after step 5"):
            checkpoints.save(4, state, {})
        with pytest.raises(UserError, match="no checkpoint of step 6; there are: 5"):
            checkpoints.restore(6, state)


def test_half_removed_old_step_is_not_listed(tmp_path, state):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(2, state, {})
        checkpoints.save(3, state, {})
    (tmp_path / "1" / "meta").mkdir(parents=True)
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.steps() == [2, 3]


@pytest.mark.parametrize(
    "change, message",
    [
        (
            lambda s: s._replace(params={**s.params, "w": jnp.zeros((3, 6))}),
            r"params/w is float32\[3, 5\], wanted float32\[3, 6\]",
        ),
        (lambda s: s._replace(step=jnp.zeros(())), r"step is int32\[\], wanted float32\[\]"),
        (lambda s: s._replace(params={**s.params, "new": jnp.zeros(1)}), "params/new is missing;"),
        (lambda s: s._replace(optimizer=()), r"optimizer/0/count is not wanted \(and \d+ more\)"),
    ],
)
def test_another_state_is_refused_by_leaf(tmp_path, state, change, message):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, state, {})
        with pytest.raises(UserError, match=message) as caught:
            checkpoints.restore(1, change(state))
    assert str(tmp_path) in str(caught.value) and "config" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # reads Orbax gave up end after its loop
@pytest.mark.parametrize("damage", ["arrays", "no state", "tree", "meta", "no meta"])
def test_broken_newest_names_the_older_that_can_be_read(tmp_path, state, damage):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, state, {})
        checkpoints.save(2, state, {})
    newest = tmp_path / "2"
    if damage == "arrays":
        for file in newest.glob("state/**/d/*"):
            file.write_bytes(file.read_bytes()[:10])
    elif damage == "tree":
        (newest / "state" / "_METADATA").unlink()
    elif damage == "meta":
        (newest / "meta" / "metadata").write_text('{"row": 1')
    else:
        shutil.rmtree(newest / damage.removeprefix("no "))
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.latest() == 2
        with pytest.raises(
            UserError, match=f"step 2 is incomplete or unreadable .*older step 1 can be read: delete {newest}"
        ) as error:
            checkpoints.restore(2, state)
        assert "\n" not in str(error.value)
        assert_equal(checkpoints.restore(1, state)[0], state)
        shutil.rmtree(tmp_path / "1" / "state")
        with pytest.raises(UserError, match="delete the folder to start this stage again"):
            checkpoints.restore(2, state)
    shutil.rmtree(newest)  # the remedy the message gives
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.latest() == 1


_SAVER = """
import sys
import jax.numpy as jnp
from traitrl_jax.runtime.checkpoint import Checkpoints
with Checkpoints(sys.argv[1]) as checkpoints:
    first = (checkpoints.latest() or 0) + 1
    for step in range(first, 10_000):
        state = {f"x{i}": jnp.full((50_000,), step, jnp.float32) for i in range(12)}
        checkpoints.save(step, state, {"step": step})
        print(step, flush=True)
"""


def test_killed_while_saving(tmp_path):
    target = {f"x{i}": jax.ShapeDtypeStruct((50_000,), jnp.float32) for i in range(12)}
    newest = 0
    for saves, delay in ((3, 0.0), (2, 0.012)):
        with subprocess.Popen([sys.executable, "-c", _SAVER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as child:
            for _ in range(saves):
                reached = int(child.stdout.readline())
            time.sleep(delay)  # the step just announced is being written
            child.kill()
        with Checkpoints(tmp_path) as checkpoints:
            steps = checkpoints.steps()
            assert len(steps) <= 2 and steps[-1] >= reached - 1 > newest
            for step in steps:
                restored, meta = checkpoints.restore(step, target)
                assert meta == {"step": step}
                assert all(np.all(np.asarray(leaf) == step) for leaf in restored.values())
            newest = steps[-1]
        assert not list(tmp_path.glob("*tmp*"))


@pytest.mark.parametrize(
    "fault, message",
    [
        (OSError(28, "No space left on device"), "saving step 3 failed: the disk is full; free some space"),
        (
            ValueError("RESOURCE_EXHAUSTED: Failed to write 70099 bytes: No space left on device\nmore"),
            "step 3 failed: the disk is full",
        ),
        (OSError(30, "Read-only file system"), "saving step 3 failed: not writable; .*--set out="),
        (ValueError("torn"), "saving step 3 failed: torn"),
    ],
)
@pytest.mark.parametrize("where", ["save", "wait_until_finished"])
def test_failed_save(tmp_path, state, monkeypatch, fault, message, where):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(2, state, {})
    checkpoints.wait()

    def fail(*_, **__):
        raise fault

    if where == "save":
        monkeypatch.setattr(checkpoints._manager, "save", fail)
    with pytest.raises(UserError, match=message) as caught:
        checkpoints.save(3, state, {})
        monkeypatch.setattr(checkpoints._manager, "wait_until_finished", fail)
        checkpoints.wait()
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)
    monkeypatch.undo()
    checkpoints.close()


def test_error_in_the_body_is_not_masked_by_the_last_save(tmp_path, state, monkeypatch):
    def fail():
        raise OSError(28, "No space left on device")

    with pytest.raises(ZeroDivisionError), Checkpoints(tmp_path) as checkpoints:
        monkeypatch.setattr(checkpoints._manager, "wait_until_finished", fail)
        raise ZeroDivisionError
    with pytest.raises(UserError, match="disk is full"), Checkpoints(tmp_path) as checkpoints:
        monkeypatch.setattr(checkpoints._manager, "wait_until_finished", fail)


def test_folder_that_can_not_be_used(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file"):
        Checkpoints(tmp_path / "file")

    def refuse(self, *_, **__):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    with pytest.raises(UserError, match=r"new: checkpoint folder: not writable; .*--set out="):
        Checkpoints(tmp_path / "new")


def test_params(tmp_path, state):
    folder = tmp_path / "model"
    with pytest.raises(UserError, match="no model there"):
        load_params(folder, state.params)
    save_params(folder, state.params)
    assert_equal(load_params(folder, jax.eval_shape(lambda: state.params)), state.params)
    other = jax.tree.map(lambda x: x + 1, state.params)
    save_params(folder, other)
    assert_equal(load_params(folder, state.params), other)
    assert len([p for p in folder.iterdir() if p.is_dir()]) == 1
    for step in folder.iterdir():
        shutil.rmtree(step)
    with pytest.raises(UserError, match="no complete model"):
        load_params(folder, state.params)


def test_orbax_is_quiet(tmp_path, state, capfd):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, state, {})
        (tmp_path / "9").mkdir()
    with Checkpoints(tmp_path) as checkpoints, pytest.raises(UserError):
        checkpoints.restore(9, state)
    assert capfd.readouterr() == ("", "")


def test_stop_signal(capfd):
    old = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with StopSignal() as stop:
        assert not stop.requested
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.requested
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == old
    with StopSignal() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.requested
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)
    assert "stopping after this step" in capfd.readouterr().err


def test_imports_stay_cheap():
    code = "import sys, traitrl_jax.runtime.checkpoint, traitrl_jax.runtime.tracking; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"jax", "orbax", "wandb", "numpy"} & set(modules)
