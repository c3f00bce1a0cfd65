"""Files that are whole or absent, a lock per study folder, and facts about the machine.

A folder may lie in a bucket (gs://...): `path_of` makes the path, with the methods of pathlib and etils behind it. One write is
one object there, whole or absent by itself; nothing is locked, and free space is not asked for.
"""

import contextlib
import errno
import fcntl
import importlib.metadata
import io
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
from pathlib import Path, PurePath
from typing import Any, TextIO

from traitrl_jax.config import UserError
from traitrl_jax.runtime.processes import is_first

PACKAGES = (
    "jax", "jaxlib", "libtpu", "flax", "optax", "orbax-checkpoint", "numpy", "tensorflow", "tensorflow-cpu",
    "tensorflow-datasets", "sentencepiece", "wandb",
)  # fmt: skip
_NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)


def path_of(path: str | PurePath) -> Path:
    """The path of a run's folder or file: of pathlib, or for gs://... one that behaves alike."""
    if isinstance(path, PurePath):
        return path
    if "://" not in path:
        return Path(path)
    from etils import epath  # Orbax brings it; it reads and writes through TensorFlow

    return epath.Path(path)


def in_bucket(path: PurePath) -> bool:
    """Does this path lie in a bucket?"""
    return "://" in str(path)


def absolute(path: Path) -> Path:
    """The path from the root of its disk or bucket."""
    return path if in_bucket(path) else path.absolute()


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
    path = path_of(path)
    if in_bucket(path):
        try:
            path.write_text(text, encoding="utf-8")
        except Exception as error:  # TensorFlow's errors are no OSErrors
            raise disk_error(error, path, "can not be written") from None
        return
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
        return json.loads(path_of(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; the stage that writes it has not finished, run the study first") from None
    except json.JSONDecodeError as error:
        raise UserError(f"{path}:{error.lineno}: broken JSON ({error.msg}); delete it and run the study again") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: can not be read: {first_line(error)}") from None


def check_writable(folder: Path, megabytes: int = 0) -> None:
    """Make `folder` if need be and write to it once. Raises UserError if that fails or, on a disk, less than `megabytes` are
    free."""
    folder = path_of(folder)
    if in_bucket(folder):
        write_text_atomic(folder / ".writable", "")
        return
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
    system without locks (some network and bucket mounts) and in a bucket nothing is held.
    """
    path = path_of(folder) / ".lock"
    if in_bucket(path):
        yield
        return
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


def modified(path: Path) -> float:
    """When a file was last written, in seconds since 1970."""
    found = path.stat()
    return found.mtime if in_bucket(path) else found.st_mtime


def open_append(path: Path) -> TextIO:
    """A text file to write at its end. In a bucket, where nothing can be appended, each flush writes the whole object anew."""
    return BucketText(path) if in_bucket(path) else open(path, "a", encoding="utf-8")


class BucketText(io.StringIO):
    """What `open_append` gives for a bucket: all of the text, written whole by `flush`."""

    def __init__(self, path: Path):
        super().__init__(path.read_text(encoding="utf-8") if path.is_file() else "", newline="")
        self.seek(0, io.SEEK_END)
        self.name, self._path = str(path), path

    def flush(self) -> None:
        write_text_atomic(self._path, self.getvalue())


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
