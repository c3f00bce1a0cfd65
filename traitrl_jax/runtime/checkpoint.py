"""Checkpoints on Orbax: a step is listed only when it is whole, and is restored into given shapes, types and shardings.

A save copies to the host first and writes in a thread, so the state may be donated at once. A killed save leaves a folder that
the next run removes. No PRNG key is ever saved: keys are functions of the step.
"""

import contextlib
import json
import logging
import os
import signal
from pathlib import Path
from typing import Any

from traitrl_jax.config import UserError
from traitrl_jax.runtime.files import absolute, disk_error, first_line, path_of
from traitrl_jax.runtime.processes import any_process


class Checkpoints:
    """The newest `keep` states of one run in `folder`; a context manager that finishes the last save before it leaves.

    Every method raises UserError that names folder, step, cause and remedy.
    """

    def __init__(self, folder: Path, keep: int = 2):
        self.folder = absolute(path_of(folder))  # Orbax takes no relative paths
        self._keep = keep
        self._saving: int | None = None  # the step a thread may still be writing
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._manager = _manager(self.folder, keep)
        except FileExistsError:
            raise UserError(f"{self.folder}: is a file, not a folder of checkpoints; delete it") from None
        except OSError as error:
            raise disk_error(error, self.folder, "checkpoint folder") from None

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # An error that is already on its way says more than one in the last save.
        with contextlib.suppress(UserError) if kind else contextlib.nullcontext():
            self.close()

    def steps(self) -> list[int]:
        """Complete steps on disk, oldest first. Waits for a save under way."""
        self.wait()
        # A run killed while it removed an old step leaves a part of it: only the newest `keep` count.
        return sorted(self._manager.all_steps(read=True))[-self._keep :]

    def latest(self) -> int | None:
        """The newest complete step, or None."""
        return max(self.steps(), default=None)

    def save(self, step: int, state: Any, meta: dict[str, Any]) -> None:
        """Start saving `state` (a pytree of arrays) and `meta` (JSON). A step that is already there is left as it is."""
        import orbax.checkpoint as ocp

        self.wait()  # one save at a time; the error of the last one comes out here, with its step
        snapshot = json.loads(json.dumps(meta))  # the thread writes it later
        args = ocp.args.Composite(state=ocp.args.StandardSave(state), meta=ocp.args.JsonSave(snapshot))
        self._saving = step
        try:
            started = self._manager.save(step, args=args)
        except (OSError, ValueError, RuntimeError) as error:
            raise self._write_error(error) from None
        if not started and step not in (steps := self.steps()):
            raise UserError(
                f"{self.folder}: step {step} can not be saved after step {steps[-1]}; delete the later steps or the folder"
            )

    def wait(self) -> None:
        """Return when no save is under way; raises UserError if it failed."""
        try:
            self._manager.wait_until_finished()
        except (OSError, ValueError, RuntimeError) as error:
            raise self._write_error(error) from None

    def close(self) -> None:
        """Finish the save under way and release Orbax's threads."""
        try:
            self.wait()
        finally:
            with contextlib.suppress(OSError, ValueError, RuntimeError):  # it waits again; the error is already on its way
                self._manager.close()

    def restore(self, step: int, target: Any) -> tuple[Any, dict[str, Any]]:
        """(state, meta) of `step`; the state has exactly the structure, shapes and types of `target`, and its shardings.

        target: a pytree of arrays or jax.ShapeDtypeStruct. A leaf without a sharding goes to the first local device; the mesh
        that saved the state does not matter.
        """
        steps = self.steps()
        if step not in steps:
            raise UserError(f"{self.folder}: no checkpoint of step {step}; there are: {', '.join(map(str, steps)) or 'none'}")
        try:
            return self._read(step, target)
        except UserError:
            raise
        except Exception as error:  # whatever Orbax, TensorStore or JSON make of a broken file
            older = next((s for s in reversed(steps) if s < step and self._readable(s, target)), None)
            remedy = "delete the folder to start this stage again"
            if older is not None:
                remedy = f"the older step {older} can be read: delete {self.folder / str(step)} to continue from there"
            raise UserError(
                f"{self.folder}: the checkpoint of step {step} is incomplete or unreadable ({first_line(error)}); {remedy}"
            ) from None

    def _readable(self, step: int, target: Any) -> bool:
        try:
            self._read(step, target)
        except Exception:  # as in restore: any failure means no
            return False
        return True

    def _read(self, step: int, target: Any) -> tuple[Any, dict[str, Any]]:
        import jax
        import orbax.checkpoint as ocp

        stored = self._manager.item_metadata(step).state
        if stored is None:
            raise FileNotFoundError("its files are missing")
        difference = _difference(_leaves(stored), _leaves(target))
        if difference:
            raise UserError(
                f"{self.folder}: step {step} holds another state: {difference}; "
                "restore the config it was saved with, or delete the folder to start this stage again"
            )
        here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        given = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=getattr(leaf, "sharding", None) or here), target
        )
        args = ocp.args.Composite(state=ocp.args.StandardRestore(given), meta=ocp.args.JsonRestore())
        restored = self._manager.restore(step, args=args)
        return restored.state, restored.meta

    def _write_error(self, error: BaseException) -> UserError:
        return disk_error(error, self.folder, f"saving step {self._saving} failed")


def save_params(folder: Path, params: Any) -> None:
    """Save one finished model in `folder`; a model that was there is replaced when the new one is whole."""
    with Checkpoints(folder, keep=1) as checkpoints:
        newest = checkpoints.latest()
        checkpoints.save(0 if newest is None else newest + 1, params, {})


def load_params(folder: Path, target: Any) -> Any:
    """The model `save_params` left in `folder`, in the structure, shapes, types and shardings of `target` (see restore)."""
    if not path_of(folder).is_dir():
        raise UserError(f"{folder}: no model there; run the stage that makes it first")
    with Checkpoints(folder, keep=1) as checkpoints:
        newest = checkpoints.latest()
        if newest is None:
            raise UserError(f"{folder}: holds no complete model; delete it and run the stage that makes it again")
        return checkpoints.restore(newest, target)[0]


def _manager(folder: Path, keep: int) -> Any:
    import orbax.checkpoint as ocp

    # Orbax reports progress and each failure through absl as well as by exceptions.
    logging.getLogger("absl").addFilter(_not_from_orbax)
    return ocp.CheckpointManager(
        folder,
        options=ocp.CheckpointManagerOptions(max_to_keep=keep, cleanup_tmp_directories=True),
        item_handlers={"state": ocp.StandardCheckpointHandler(), "meta": ocp.JsonCheckpointHandler()},
    )


def _not_from_orbax(record: logging.LogRecord) -> bool:
    return f"{os.sep}orbax{os.sep}" not in record.pathname


def _leaves(tree: Any) -> dict[str, str]:
    """Shape and type by path; paths are the same for a named tuple and for the dict that Orbax stores in its place."""
    import jax

    flat, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): f"{x.dtype}{list(x.shape)}" for path, x in flat}


def _difference(stored: dict[str, str], wanted: dict[str, str]) -> str:
    """The first difference between two `_leaves` in words, and how many more; empty if there is none."""
    lines = [
        f"{name} is {stored[name]}, wanted {wanted[name]}" for name in wanted if stored.get(name, wanted[name]) != wanted[name]
    ]
    lines += [f"{name} is missing" for name in wanted if name not in stored]
    lines += [f"{name} is not wanted" for name in stored if name not in wanted]
    return "".join(lines[:1]) + (f" (and {len(lines) - 1} more)" if len(lines) > 1 else "")


class Stopped(Exception):
    """A signal asked the run to stop; its state is saved. The same command continues it."""


class StopSignal:
    """Within it, SIGTERM (preemption) and the first Ctrl-C only set `requested`; a second Ctrl-C raises KeyboardInterrupt.

    For the main thread. The loop asks (`agreed`) at the end of each step, saves and leaves; the same command continues.
    """

    def __init__(self) -> None:
        self.requested = False  # in this process
        self._old: dict[int, Any] = {}

    def __enter__(self) -> "StopSignal":
        for number in (signal.SIGTERM, signal.SIGINT):
            self._old[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, old in self._old.items():
            signal.signal(number, old)

    def agreed(self) -> bool:
        """Was any process asked to stop? All ask after the same step, and so all stop there."""
        return any_process(self.requested)

    def _handle(self, number: int, _frame: object) -> None:
        if number == signal.SIGINT and self.requested:
            raise KeyboardInterrupt
        self.requested = True
        # os.write, because print is not safe in a handler
        os.write(2, b"\nstopping after this step; the same command continues (Ctrl-C again: stop at once)\n")
