"""Metrics of a run: JSON lines always, W&B if wanted; and what a person sees while it runs.

Process 0 alone writes. The report needs metrics.jsonl and nothing else; W&B is a mirror that may fail without harm.
"""

import contextlib
import json
import netrc
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import urlparse

from traitrl_jax.config import TrackConfig, UserError
from traitrl_jax.runtime.files import disk_error, first_line, in_bucket, open_append, path_of, plain, write_text_atomic
from traitrl_jax.runtime.processes import is_first

INIT_SECONDS = 20.0  # how long W&B may keep a run waiting, at its start and at its end


class Tracker:
    """Appends {"step": n, name: number, ...} lines to `folder`/metrics.jsonl and mirrors them to W&B. A context manager.

    resume_step: the step of the checkpoint the run continues from; later lines are cut off, so that the file of a killed and
    continued run equals an uninterrupted one's. None is a run from its beginning: the file starts empty.
    """

    def __init__(
        self,
        folder: Path,
        config: TrackConfig,
        name: str,
        settings: dict[str, Any] | None = None,
        resume_step: int | None = None,
    ):
        if config.mode not in ("auto", "offline", "disabled"):
            raise UserError(f"track.mode={config.mode!r}: must be auto, offline or disabled")
        self._file: TextIO | None = None
        self._run: Any = None
        if not is_first():
            return
        path = path_of(folder) / "metrics.jsonl"
        kept = [line for step, line in _lines(path) if step <= resume_step] if resume_step is not None else []
        write_text_atomic(path, "".join(f"{line}\n" for line in kept))
        self._file = open_append(path)
        self._run = _start_wandb(path_of(folder), config, name, settings or {})

    def __enter__(self) -> "Tracker":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def log(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Write one line, on disk when this returns; numbers may be scalar arrays, NaN and infinities become null."""
        if self._file is None:
            return
        record = {"step": int(step)} | plain(dict(metrics))
        try:
            self._file.write(json.dumps(record) + "\n")
            self._file.flush()
        except OSError as error:
            raise disk_error(error, Path(self._file.name), f"metrics of step {step}") from None
        if self._run is not None and step >= self._run.step:  # a resumed W&B run refuses the steps it has
            try:
                self._run.log({key: value for key, value in record.items() if value is not None}, step=int(step))
            except Exception as error:  # a mirror: its failure must not cost the run
                _say(f"W&B stopped at step {step} ({first_line(error)}); metrics go on in {self._file.name}")
                self._run = None

    def table(self, name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """A table in W&B; the caller keeps its rows in a file of its own."""
        if self._run is None:
            return
        try:
            import wandb

            self._run.log({name: wandb.Table(columns=list(columns), data=[[plain(cell) for cell in row] for row in rows])})
        except Exception as error:  # a mirror, as above
            _say(f"W&B has no table {name} ({first_line(error)})")
            self._run = None

    def close(self) -> None:
        """Close the file and finish the W&B run; twice is once."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # every line has been flushed
                self._file.close()
            self._file = None
        if self._run is not None:
            with contextlib.suppress(Exception):  # what W&B still held is in its offline files
                self._run.finish()
            self._run = None


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of a metrics.jsonl, oldest first; a torn last line is left out. Raises UserError if it is missing or broken."""
    if not path_of(path).is_file():
        raise UserError(f"{path}: no metrics there; run the study first")
    return [json.loads(line) for _, line in _lines(path_of(path))]


def _lines(path: Path) -> list[tuple[int, str]]:
    """(step, line) of each whole line; none if there is no file. The last line may be torn: its writer was killed."""
    try:
        text = path.read_bytes().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"{path}: can not be read: {first_line(error)}") from None
    rows = text.removesuffix("\n").split("\n")
    found = []
    for i, row in enumerate(rows):
        try:
            found.append((int(json.loads(row)["step"]), row))
        except (ValueError, KeyError, TypeError):
            if i < len(rows) - 1:
                raise UserError(f"{path}:{i + 1}: no metrics line: {row[:60]!r}; delete the line or the run's folder") from None
    return found


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _has_wandb_key() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def _start_wandb(folder: Path, config: TrackConfig, name: str, settings: dict[str, Any]) -> Any:
    """A W&B run, or None when disabled or impossible. Auto heeds WANDB_MODE, then goes online if there is a key."""
    mode = config.mode
    if mode == "auto":
        mode = os.environ.get("WANDB_MODE") or ("online" if _has_wandb_key() else "offline")
    if mode == "disabled":
        return None
    try:
        import wandb

        identity = folder / "wandb_id.txt"
        if not identity.is_file():
            write_text_atomic(identity, secrets.token_hex(4))

        def start(mode: str) -> Any:
            wandb.setup(settings=wandb.Settings(silent=True))
            return wandb.init(
                project=config.project, name=name, id=identity.read_text().strip(), resume="allow", mode=mode,
                dir=tempfile.mkdtemp() if in_bucket(folder) else str(folder), config=plain(settings),
                settings=wandb.Settings(
                    init_timeout=INIT_SECONDS, finish_timeout=INIT_SECONDS, silent=True, console="off"
                ),
            )  # fmt: skip

        try:
            return start(mode)
        except Exception as error:  # no network, wrong key, no such project, ...
            if mode == "offline":
                raise
            _say(f"W&B can not be reached ({first_line(error)}); tracking offline; later: wandb sync {folder}/wandb/offline-*")
            wandb.teardown()  # it still holds the id
            return start("offline")
    except Exception as error:  # a mirror: the run goes on without it
        _say(f"W&B is off ({first_line(error)}); metrics go to {folder}/metrics.jsonl; track.mode=disabled silences this")
        return None


class Progress:
    """Live progress on stderr: one updating line on a terminal, elsewhere a line at most every `every` seconds and the last.

    A context manager; `show` names the metrics that are printed.
    """

    def __init__(
        self, total: int, name: str, show: Sequence[str] = (), start: int = 0, every: float = 30.0, stream: TextIO | None = None
    ):
        self._total, self._name, self._show, self._every = total, name, tuple(show), every
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._quiet = not is_first()
        self._line = self._printed = ""
        self._printed_at = now = time.monotonic()
        # Rates come from the latest updates: the first one holds the compilation.
        self._marks: deque[tuple[float, int, int]] = deque([(now, start, 0)], maxlen=20)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self._line and (self._live or self._line != self._printed):
            self._print("\n")

    def update(self, step: int, metrics: Mapping[str, Any] | None = None, tokens: int = 0) -> None:
        """Say that `step` steps are done; `tokens` are those processed since the last update."""
        now = time.monotonic()
        first, last = self._marks[0], self._marks[-1]
        self._marks.append((now, step, last[2] + tokens))
        seconds = max(now - first[0], 1e-9)
        parts = [f"{self._name} {step}/{self._total}"]
        parts += [f"{key} {float(metrics[key]):.4g}" for key in self._show if metrics and metrics.get(key) is not None]
        if tokens:
            parts.append(f"{(last[2] + tokens - first[2]) / seconds:,.0f} tok/s")
        if first[1] < step < self._total:
            parts.append(f"{duration((self._total - step) * seconds / (step - first[1]))} left")
        self._line = "  ".join(parts)
        if self._live or now - self._printed_at >= self._every:
            self._printed_at = now
            self._print("" if self._live else "\n")

    def _print(self, end: str) -> None:
        if self._quiet:
            return
        line = self._line
        if self._live:
            line = "\r" + line[: shutil.get_terminal_size().columns - 1] + "\x1b[K"
        self._stream.write(line + end)
        self._stream.flush()
        self._printed = self._line


class Stages:
    """Counts the stages of a study on stderr: "[3/9] rubric head ..." when one starts, its time when it ends."""

    def __init__(self, total: int, stream: TextIO | None = None):
        self.seconds: dict[str, float] = {}  # by stage, of those that ended well
        self._total, self._count = total, 0
        self._stream = stream or sys.stderr
        self._quiet = not is_first()

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Within it, the stage runs."""
        start = time.monotonic()
        label = self._begin(name, "...")
        try:
            yield
        except BaseException:
            self._write(f"{label}: stopped after {duration(time.monotonic() - start)}")
            raise
        self.seconds[name] = time.monotonic() - start
        self._write(f"{label}: {duration(self.seconds[name])}")

    def skip(self, name: str, why: str = "done before") -> None:
        """Count a stage that need not run."""
        self._begin(name, f"({why})")

    def _begin(self, name: str, text: str) -> str:
        self._count += 1
        label = f"[{self._count}/{self._total}] {name}"
        self._write(f"{label} {text}")
        return label

    def _write(self, text: str) -> None:
        if not self._quiet:
            print(text, file=self._stream, flush=True)


def duration(seconds: float) -> str:
    """3.2 s, 4:05 min or 2:03:10 h."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d} min"
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d} h"
