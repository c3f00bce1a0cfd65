"""Several processes that run one study: how they join, what process 0 does alone, how they agree, how they leave.

Every process runs the same command on the same config; arrays lie over the devices of all of them (runtime/mesh.py). Process 0
alone writes plain files and talks to people; where the others depend on what it did, they wait for it in `from_first`. With one
process none of this does anything.
"""

import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

from traitrl_jax.config import UserError

NAMES = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
AUTO = "TRAITRL_PROCESSES"  # auto: JAX finds the others by itself (TPU slice, Slurm, Open MPI); one: there are no others
JOIN_SECONDS = 300
WAIT_SECONDS = 3600  # for what process 0 does alone: a tokenizer, a report
STOPPED = 143  # the exit code with which all processes leave together after a signal
_POLL_SECONDS = 0.5
_FAILED = "traitrl/failed"


class _Group:
    """What this process knows of its group; none without one."""

    client: Any = None  # JAX's client of the coordination service
    calls = 0  # of from_first: the same in every process, because all make the same calls
    leaving = threading.Event()
    watch: threading.Thread | None = None


def wanted(environment: Mapping[str, str]) -> dict[str, Any] | None:
    """Arguments of jax.distributed.initialize, or None for one process.

    JAX reads the coordinator's address itself, and on a TPU slice everything; the number of processes and the own one it does
    not. Raises UserError where they are incomplete or no numbers.
    """
    given = {name: environment[name] for name in NAMES if environment.get(name)}
    several_workers = "," in environment.get("TPU_WORKER_HOSTNAMES", "")
    mode = environment.get(AUTO, "auto" if several_workers else "")
    if mode not in ("", "auto", "one"):
        raise UserError(f"{AUTO}={mode!r}: must be auto or one, or not set")
    if mode == "one":
        return None
    if mode and len(given) < len(NAMES):
        return {}
    if not given.keys() - {NAMES[0]}:
        return None
    missing = [name for name in NAMES if name not in given]
    if missing:
        raise UserError(f"{', '.join(sorted(given))} set, but not {missing[0]}; set all of {', '.join(NAMES)} or none")
    try:
        number, index = int(given[NAMES[1]]), int(given[NAMES[2]])
    except ValueError:
        raise UserError(f"{NAMES[1]}={given[NAMES[1]]} and {NAMES[2]}={given[NAMES[2]]}: must be whole numbers") from None
    if not 0 <= index < number:
        raise UserError(f"{NAMES[2]}={index}: must be between 0 and {NAMES[1]} - 1 = {number - 1}")
    found = {"coordinator_address": given[NAMES[0]], "num_processes": number, "process_id": index}
    return found | {"cluster_detection_method": "deactivate"}


def join() -> None:
    """Join the processes that the environment names (`wanted`); with none, nothing. Before anything uses a device.

    From here on SIGTERM is a KeyboardInterrupt, except within runtime/checkpoint.StopSignal: outside a training loop there is
    nothing to save, and the others are told.
    """
    arguments = wanted(os.environ)
    if arguments is None:
        return
    import jax
    from jax._src import distributed  # the coordination service's keys and waits have no public name

    jax.config.update("jax_enable_preemption_service", False)  # it would take SIGTERM away from StopSignal
    try:
        jax.distributed.initialize(**arguments, initialization_timeout=JOIN_SECONDS)
    except (ValueError, RuntimeError) as error:
        raise UserError(
            f"the processes did not find each other ({str(error).strip().splitlines()[0]}); start the same command on every "
            f"worker within {JOIN_SECONDS} s, with {', '.join(NAMES)}, or {AUTO}=auto on a TPU slice"
        ) from None
    _Group.client = distributed.global_state.client
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    _Group.watch = threading.Thread(target=_watch, args=(_Group.client, _Group.leaving), daemon=True)
    _Group.watch.start()


def count() -> int:
    """Number of processes."""
    jax = sys.modules.get("jax")  # a run that has not imported jax is one process
    return jax.process_count() if jax is not None and jax.distributed.is_initialized() else 1


def is_first() -> bool:
    """Is this process 0, which writes plain files and talks to people?"""
    return count() == 1 or sys.modules["jax"].process_index() == 0


def from_first(what: str, function: Callable[..., Any], *args: Any) -> Any:
    """function(*args) of process 0, which alone calls it, in every process. The value goes as JSON; a UserError is raised in
    all of them. `what` names the wait if it takes too long."""
    if count() == 1:
        return function(*args)
    _Group.calls += 1
    key = f"traitrl/{_Group.calls}/{what}"
    if not is_first():
        told = json.loads(_wait_for(key, what))
        if "error" in told:
            raise UserError(told["error"])
        return told["value"]
    try:
        value = function(*args)
    except UserError as error:
        _Group.client.key_value_set(key, json.dumps({"error": str(error)}))
        raise
    _Group.client.key_value_set(key, json.dumps({"value": value}))
    return value


def _wait_for(key: str, what: str) -> str:
    """The value of a key once process 0 has set it; in slices, so that a signal is heard."""
    end = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < end:
        try:
            return _Group.client.blocking_key_value_get(key, 1000)
        except RuntimeError as error:
            if "DEADLINE_EXCEEDED" not in str(error):
                raise
    raise UserError(f"waited {WAIT_SECONDS} s for process 0: {what}; look at what it says, then run the same command again")


@contextmanager
def held_by_first(lock: AbstractContextManager[None]) -> Iterator[None]:
    """Within it process 0 holds `lock`; if it can not, all raise its UserError."""
    with ExitStack() as stack:

        def enter() -> None:
            stack.enter_context(lock)

        from_first("the folder's lock", enter)
        yield


def any_process(flag: bool) -> bool:
    """Is `flag` set in any process? All must ask; all get the same answer."""
    if count() == 1:
        return flag
    import numpy as np
    from jax.experimental import multihost_utils

    return bool(multihost_utils.process_allgather(np.array(flag)).any())


def check_shared(folder: Path) -> None:
    """Raises UserError if some process does not see what process 0 writes in `folder`."""
    if count() == 1:
        return
    mark = folder / ".shared"

    def write() -> str:
        word = f"{os.getpid()} {time.time_ns()}"
        mark.write_text(word)
        return word

    word = from_first("a file for all to see", write)
    if any_process(not mark.is_file() or mark.read_text() != word):
        raise UserError(
            f"{folder}: not every process sees what process 0 writes there; give a folder that all share, such as a network "
            "disk or a bucket: --set out=gs://..."
        )


def first_to_fail(code: int) -> bool:
    """Is this the first process to fail? It tells people why, and all end with its exit code. One process always is."""
    if _Group.client is None:
        return True
    _Group.leaving.set()  # by itself, not at the word of another
    try:
        _Group.client.key_value_set(_FAILED, str(code))
    except RuntimeError:  # there already: another process was first
        return False
    return True


def leave(code: int) -> None:
    """The last act of a process. All leave together if all are done or stopped (0, STOPPED); if one fails, the others are
    told and end within seconds, instead of waiting for it in a collective."""
    if _Group.watch is None:
        return
    _Group.leaving.set()
    _Group.watch.join()
    if code in (0, STOPPED):
        return  # JAX waits for all at exit
    if sys.exc_info()[0] is not None:
        traceback.print_exc()
    first_to_fail(code)
    sys.stdout.flush()
    sys.stderr.flush()
    if is_first():
        time.sleep(4 * _POLL_SECONDS)  # the others hear it through this process
    os._exit(code)  # JAX would wait for all


def _watch(client: Any, leaving: threading.Event) -> None:
    """In a thread: end this process soon after another one failed."""
    while not leaving.wait(_POLL_SECONDS):
        try:
            code = int(client.key_value_try_get(_FAILED))
        except RuntimeError:  # no such key
            continue
        if not leaving.wait(_POLL_SECONDS):  # it may be failing for the same reason
            print("traitrl: stopped, because another process failed; it says why", file=sys.stderr, flush=True)
            os._exit(code)
