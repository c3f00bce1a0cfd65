"""Files that are whole or absent, a lock per study folder, and facts about the machine."""

import contextlib
import errno
import fcntl
import importlib.metadata
import json
import math
import os
import platform
import re
import resource
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from traitrl_jax.config import UserError
from traitrl_jax.runtime.processes import is_first

PACKAGES = (
    "jax", "jaxlib", "libtpu", "flax", "optax", "orbax-checkpoint", "numpy", "tensorflow", "tensorflow-cpu",
    "tensorflow-datasets", "sentencepiece", "wandb",
)  # fmt: skip
_NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)


def disk_error(error: BaseException, place: Path, action: str) -> UserError:
    """The user's view of a failed write of `place`. Reads the text too: TensorStore reports full disks as a ValueError."""
    code, text = getattr(error, "errno", None), str(error)
    if code in (errno.ENOSPC, errno.EDQUOT) or re.search("No space left|quota exceeded", text, re.IGNORECASE):
        return UserError(f"{place}: {action}: the disk is full; free some space or choose another folder with --set out=...")
    if code in _NOT_WRITABLE or re.search("Permission denied|Read-only file system|not permitted", text, re.IGNORECASE):
        return UserError(f"{place}: {action}: not writable; make it writable or choose another folder with --set out=...")
    return UserError(f"{place}: {action}: {first_line(error)}")


def first_line(error: BaseException, width: int = 160) -> str:
    """An exception as one short line: its text's first line, or its type if it has none."""
    line = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
    return line if len(line) <= width else f"{line[: width - 3]}..."


def write_text_atomic(path: Path, text: str) -> None:
    """Write UTF-8 `text` to `path` so that a reader, or a run killed here, sees the old file or the new, never a part.

    Makes the parent folders. Of several processes the first one writes, the others do nothing. Raises UserError when the disk
    is full or the folder not writable.
    """
    if not is_first():
        return
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(temporary, "w", encoding="utf-8", newline="") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise disk_error(error, path, "can not be written") from None


def write_json_atomic(path: Path, value: Any) -> None:
    """Write `plain(value)` as indented JSON, atomically."""
    write_text_atomic(path, json.dumps(plain(value), indent=1, allow_nan=False) + "\n")


def plain(value: Any) -> Any:
    """`value` as JSON can say it: arrays as numbers and lists, tuples as lists, paths as text, NaN and infinities as None."""
    if hasattr(value, "tolist"):  # numpy and jax arrays and scalars
        value = value.tolist()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def read_json(path: Path) -> Any:
    """The value in the JSON file `path`. Raises UserError naming the file, and the line where it is broken."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; the stage that writes it has not finished, run the study first") from None
    except json.JSONDecodeError as error:
        raise UserError(f"{path}:{error.lineno}: broken JSON ({error.msg}); delete it and run the study again") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: can not be read: {first_line(error)}") from None


def check_writable(folder: Path, megabytes: int = 0) -> None:
    """Make `folder` if need be and write to it once. Raises UserError if that fails or less than `megabytes` are free."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".writable-"):
            pass
        free = shutil.disk_usage(folder).free // 2**20
    except FileExistsError:
        raise UserError(f"{folder}: is a file, not a folder; choose another place with --set out=...") from None
    except OSError as error:
        raise disk_error(error, folder, "output folder") from None
    if free < megabytes:
        raise UserError(
            f"{folder}: {free} MB free, the run needs {megabytes}; free some space or choose another folder with --set out=..."
        )


@contextlib.contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process. Raises UserError naming the holder's pid if another process has it.

    The kernel drops the lock with the process, however it dies; the file `.lock` stays and means nothing by itself. On a file
    system without locks (some network and bucket mounts) nothing is held.
    """
    path = Path(folder) / ".lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, "a+", encoding="utf-8")
    except OSError as error:
        raise disk_error(error, path, "can not be opened") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise UserError(
                f"{folder}: process {holder} works in this folder; wait for it, stop it, or choose another with --set out=..."
            ) from None
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
                raise disk_error(error, path, "can not be locked") from None
        file.truncate(0)
        file.write(f"{os.getpid()} on {platform.node()}\n")
        file.flush()
        yield


def peak_memory_gb() -> float:
    """The most resident memory this process has had so far, in GB (10^9 bytes)."""
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes there, in KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def machine() -> dict[str, Any]:
    """{"cpu": name, "cores": those this process may use, "memory_gb": of the machine or None}."""
    name = _search("/proc/cpuinfo", r"^model name\s*:\s*(.+)$") or platform.processor() or platform.machine()
    kibibytes = _search("/proc/meminfo", r"^MemTotal:\s*(\d+) kB")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {"cpu": name.strip(), "cores": cores, "memory_gb": round(int(kibibytes) * 1024 / 1e9, 1) if kibibytes else None}


def _search(path: str, pattern: str) -> str | None:
    try:
        found = re.search(pattern, Path(path).read_text(), re.MULTILINE)
    except OSError:
        return None
    return found[1] if found else None


def versions() -> dict[str, str]:
    """Versions of Python and of those main packages that are installed, without importing them."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found
