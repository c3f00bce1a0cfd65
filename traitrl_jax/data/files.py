"""Scenarios in files: one JSON object a line, read as a stream, every fault named by file, line, field, value and remedy.

    {"id": "h1", "trait": "truthfulness", "domain": "health", "messages": [{"role": "user", "content": "..."}],
     "rubric": [{"criterion": "Take the claim back.", "points": 5}], "pressure": "deadline"}      (on one line)

`pressure` may be left out. Blank lines are skipped. The hidden state of TraitWorld's scenarios is never written: a file holds
what a model and a grader may see.
"""

import contextlib
import json
import math
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from traitrl_jax.config import UserError, unknown
from traitrl_jax.data.schema import ROLES, Criterion, Message, Scenario, check_rubric
from traitrl_jax.data.world.lexicon import TRAITS
from traitrl_jax.data.world.pools import DOMAINS

_REQUIRED = ("id", "trait", "domain", "messages", "rubric")
_NAME = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class _Place:
    """Where in a file a value stands: `path:line: field 'rubric[1].points'`."""

    line: str  # path:line
    field: str = ""

    def __truediv__(self, step: str | int) -> "_Place":
        if isinstance(step, int):
            return _Place(self.line, f"{self.field}[{step}]")
        return _Place(self.line, f"{self.field}.{step}" if self.field else step)

    def __str__(self) -> str:
        return f"{self.line}: field {self.field!r}" if self.field else self.line

    def fault(self, value: Any, problem: str, remedy: str) -> UserError:
        shown = repr(value)
        shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
        return UserError(f"{self}: {shown} {problem}; {remedy}")


def read_scenarios(path: str | Path, allow_new_traits: bool = False) -> list[Scenario]:
    """All scenarios of a file; see `iter_scenarios`."""
    return list(iter_scenarios(path, allow_new_traits))


def iter_scenarios(path: str | Path, allow_new_traits: bool = False) -> Iterator[Scenario]:
    """The scenarios of a file one by one: memory holds one line and the ids seen.

    Raises UserError at the first fault. A trait that is none of TraitWorld's is a fault unless `allow_new_traits`.
    """
    path, seen = Path(path), {}
    try:
        with open(path, "rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                place = _Place(f"{path}:{number}")
                scenario = _scenario(_object(line, place), place, allow_new_traits)
                _claim(scenario.id, number, seen, place)
                yield scenario
    except OSError as error:
        raise UserError(f"{path}: can not be read ({error.strerror}); give the path of a readable JSONL file") from None
    if not seen:
        raise UserError(f"{path}: the file holds no scenario; write one JSON object a line")


def write_scenarios(path: str | Path, scenarios: Iterable[Scenario]) -> None:
    """Write what `read_scenarios` reads, without the hidden state; all or nothing.

    Raises UserError for a scenario that could not be read back and for a file that can not be written.
    """
    path, seen = Path(path), {}
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(draft, "w", encoding="utf-8") as file:
            for number, scenario in enumerate(scenarios, start=1):
                record = {
                    "id": scenario.id,
                    "trait": scenario.trait,
                    "domain": scenario.domain,
                    "messages": [{"role": turn.role, "content": turn.content} for turn in scenario.messages],
                    "rubric": [{"criterion": line.text, "points": line.points} for line in scenario.rubric],
                } | ({"pressure": scenario.pressure} if scenario.pressure else {})
                place = _Place(f"{path}:{number}")
                _scenario(record, place, allow_new_traits=True)
                _claim(scenario.id, number, seen, place)
                file.write(json.dumps(record, ensure_ascii=False) + "\n")
        os.replace(draft, path)
    except OSError as error:
        raise UserError(f"{path}: can not be written ({error.strerror}); choose a writable folder") from None
    finally:
        with contextlib.suppress(OSError):  # gone when all went well, never there when the folder is no folder
            draft.unlink()


def _claim(name: str, number: int, seen: dict[str, int], place: _Place) -> None:
    first = seen.setdefault(name, number)
    if first != number:
        raise (place / "id").fault(name, f"is the id of line {first} too", "give every scenario its own id")


def _object(line: bytes, place: _Place) -> Any:
    try:
        return json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise place.fault(line[error.start : error.end], "is no UTF-8 text", "save the file as UTF-8") from None
    except (ValueError, RecursionError) as error:
        at = f"column {error.colno}: {error.msg}" if isinstance(error, json.JSONDecodeError) else str(error)
        raise place.fault(line.decode().strip(), f"is no JSON ({at})", "write one JSON object on one line") from None


def _scenario(record: Any, place: _Place, allow_new_traits: bool) -> Scenario:
    _fields(record, place, _REQUIRED, ("pressure",))
    trait = _text(record["trait"], place / "trait")
    if trait not in TRAITS:
        if not allow_new_traits:
            hint = unknown("trait", trait, TRAITS)
            raise UserError(f"{place / 'trait'}: {hint} A trait of your own needs allow_new_traits=True")
        if not _NAME.fullmatch(trait):
            raise (place / "trait").fault(trait, "is no name", "use letters, digits, '_' and '-'")
    domain = _text(record["domain"], place / "domain")
    if domain not in DOMAINS:
        raise UserError(f"{place / 'domain'}: {unknown('domain', domain, DOMAINS)}")
    pressure = record.get("pressure", "")
    if not isinstance(pressure, str):
        raise (place / "pressure").fault(pressure, "is no text", "write a word, or leave the field out")
    rubric = tuple(_criterion(line, place / "rubric" / i) for i, line in enumerate(_list(record["rubric"], place / "rubric")))
    check_rubric(rubric, str(place / "rubric"))
    return Scenario(
        id=_text(record["id"], place / "id"),
        trait=trait,
        domain=domain,
        messages=_messages(record["messages"], place / "messages"),
        rubric=rubric,
        pressure=pressure,
    )


def _messages(value: Any, place: _Place) -> tuple[Message, ...]:
    messages = []
    for i, turn in enumerate(_list(value, place)):
        here = place / i
        _fields(turn, here, ("role", "content"))
        role = turn["role"]
        if role not in ROLES:
            raise (here / "role").fault(role, "is no role", f"use one of {', '.join(ROLES)}")
        if role == "system" and i > 0:
            raise (here / "role").fault(role, "stands after the first message", "put the system message first")
        messages.append(Message(role, _text(turn["content"], here / "content")))
    if messages[-1].role != "user":
        last = place / (len(messages) - 1) / "role"
        raise last.fault(messages[-1].role, "has the last word", "end with a message of the user, the model replies to it")
    return tuple(messages)


def _criterion(value: Any, place: _Place) -> Criterion:
    _fields(value, place, ("criterion", "points"))
    points, problem = value["points"], "is no finite number"
    if isinstance(points, bool) or not isinstance(points, int | float):
        raise (place / "points").fault(points, problem, "write a number such as 5 or -2, without quotes")
    if abs(points) > 1e6 or not math.isfinite(points):
        raise (place / "points").fault(points, problem, "write a number between -1000000 and 1000000")
    return Criterion(_text(value["criterion"], place / "criterion"), float(points))


def _fields(value: Any, place: _Place, required: tuple[str, ...], optional: tuple[str, ...] = ()) -> None:
    """`value` is an object with all required fields and no other than the optional ones."""
    if not isinstance(value, dict):
        raise place.fault(value, "is no JSON object", f"write {{...}} with the fields {', '.join(required)}")
    for name in required:
        if name not in value:
            raise UserError(f"{place / name}: is missing; the fields are {', '.join(required + optional)}")
    for name in value:
        if name not in required + optional:
            raise UserError(f"{place}: {unknown('field', name, required + optional)}")


def _list(value: Any, place: _Place) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise place.fault(value, "is no list with entries", "write [...] with at least one entry")
    return value


def _text(value: Any, place: _Place) -> str:
    if not isinstance(value, str) or not value.strip():
        raise place.fault(value, "is no text", "write a text that is not empty, in quotes")
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise place.fault(value, "holds half a surrogate pair", "write the character itself, or both halves")
    return value
