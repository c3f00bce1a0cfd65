"""Eval records as files: one JSON object a line, one file a run."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from traitrl_jax.config import UserError
from traitrl_jax.runtime.files import path_of, write_text_atomic

NEEDED = ("eval", "id", "cluster", "score", "refused", "thought", "reply")  # what statistics and transcripts read


def write_records(path: Path, records: Sequence[dict[str, Any]]) -> None:
    """One JSON object a line, all or nothing. NaN (a grader that failed) is written as NaN, which JSON proper does not have."""
    write_text_atomic(path, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))


def read_records(path: Path) -> list[dict[str, Any]]:
    """What write_records wrote. Raises UserError naming file and line where it is missing, broken or no record."""
    try:
        text = path_of(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: no eval records there; run traitrl eval first") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: can not be read: {error}") from None
    records = []
    for number, line in enumerate(text.split("\n"), 1):  # not splitlines: replies may hold other line separators
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(f"{path}:{number}: broken JSON ({error.msg}); delete the folder and measure again") from None
        lacking = [name for name in NEEDED if not isinstance(record, dict) or name not in record]
        if lacking:
            raise UserError(f"{path}:{number}: no eval record, it lacks {', '.join(lacking)}; measure again with traitrl eval")
        records.append(record)
    return records
