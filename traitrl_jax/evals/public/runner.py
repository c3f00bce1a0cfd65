"""Runs public benchmarks on a subject: items, replies or log-probabilities, scores, and one result per benchmark.

Every benchmark writes items.jsonl and then result.json into a folder of its own; one that has its result is not run again,
and one whose result was made by another protocol or for another subject is refused. What has no score is NaN (null in JSON)
with a reason, is counted, and enters no mean:

- a malformed record; a record that is no item of the benchmark;
- a prompt (with its longest option) longer than the context: it is left out, never cut;
- an empty reply, where a judge decides (exact checks give it 0, as do rubrics of what must be said);
- an answer the judge or a check failed on.
"""

import dataclasses
import hashlib
import json
import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from traitrl_jax.config import UserError, fingerprint
from traitrl_jax.evals.bootstrap import block, change
from traitrl_jax.evals.engine import Engine, Policy, Reply, streams
from traitrl_jax.evals.public.files import Faults, digest
from traitrl_jax.evals.public.grading import ask, clean
from traitrl_jax.evals.public.jobs import Job, rows_of
from traitrl_jax.evals.public.sandbox import passes
from traitrl_jax.evals.public.schema import NAN, Benchmark, Item, Judge, Outcome, Record, Skip, Verdict, mean_of
from traitrl_jax.runtime.files import plain, read_json, write_json_atomic, write_text_atomic
from traitrl_jax.runtime.processes import from_first
from traitrl_jax.text.chat import Message, encode_prompt

READERS = 1  # raised when a reader or a score changes: results of other readers are never mixed in
_JUDGED_TOGETHER = 16  # items whose questions go to the judge in one call
_NO_THOUGHT = Reply(Message("assistant", ""), (), False)


@dataclass(frozen=True)
class Settings:
    """How to measure. All of it is in the protocol's fingerprint."""

    limit: int = 0  # items per benchmark, a fixed sample; rows of a set stay together, so it may be a few more. 0: all
    max_new: int = 128  # tokens of a sampled reply
    seed: int = 0
    run_code: bool = False  # run generated code, in a process of its own
    judge: Judge | None = None
    judge_name: str = ""


def run_job(engine: Engine, policy: Policy, job: Job, settings: Settings, folder: Path, subject: str) -> dict[str, Any]:
    """The result of a job, measured or read from `folder`/result.json. Raises UserError if that is of another protocol or
    subject."""
    path, protocol = folder / "result.json", protocol_of(engine, job, settings)
    found = from_first("what is measured", lambda: read_json(path) if path.is_file() else None)
    if found and (found["protocol"], found["subject"]) == (protocol, subject):
        return found
    if found and found["scored"]:  # one without a score, for want of a judge say, is measured again
        raise UserError(
            f"{path}: was measured by another protocol or for another subject; delete {folder} or choose another --out"
        )
    begun = time.monotonic()
    result, records = measure(engine, policy, job, settings)
    result |= {"protocol": protocol, "subject": subject, "seconds": round(time.monotonic() - begun, 1)}
    write_text_atomic(folder / "items.jsonl", "".join(_line(record | {"protocol": protocol}) for record in records))
    write_json_atomic(path, result)  # last: its presence says that the job is done
    return plain(result)


def protocol_of(engine: Engine, job: Job, settings: Settings) -> str:
    """Fingerprint of all that makes two scores of a benchmark comparable: the files' content, and those settings that its
    kind of scoring depends on."""
    kind = job.benchmark.kind if job.benchmark else ""
    sizes = [settings.limit, settings.seed, engine.context]
    if kind in ("text", "judge", "code"):
        sizes += [settings.max_new, engine.temperature]
    if kind == "judge":
        sizes.append(settings.judge_name if settings.judge else "")
    if kind == "code":
        sizes.append(settings.run_code)
    name = job.benchmark.name if job.benchmark else job.name
    return fingerprint(READERS, name, [digest(file) for file in job.files], sizes)


def _line(record: Record) -> str:
    return json.dumps(plain(record), ensure_ascii=True, allow_nan=False) + "\n"


def measure(engine: Engine, policy: Policy, job: Job, settings: Settings) -> tuple[dict[str, Any], list[Record]]:
    """(the result, its items' records). A benchmark that can not be run has score NaN and a reason, and no records."""
    result = {
        "name": job.name,
        "files": [file.name for file in job.files],
        "reason": job.reason,
        "score": NAN,
        "items": 0,
        "scored": 0,
    }
    benchmark = job.benchmark
    if benchmark is None:
        return result, []
    result |= {key: getattr(benchmark, key) for key in ("family", "kind", "rule", "means", "source")}
    faults = Faults()
    items = sample_items(read_items(benchmark, job, faults), settings.limit, settings.seed)
    result |= {"malformed": faults.malformed, "faults": faults.first, "skipped": faults.skipped, "items": len(items)}
    reason = _lacking(benchmark, settings) or ("" if items else f"no item could be read; {' '.join(faults.first[:1])}")
    if reason:
        return result | {"reason": reason}, []
    fitting = [item for item in items if _tokens(engine, item) <= engine.context]
    if len(fitting) < len(items):
        faults.skip(f"longer than {engine.context} tokens", len(items) - len(fitting))
    records = _run(engine, policy, benchmark, fitting, settings)
    for reason, count in Counter(record["reason"] for record in records if record["reason"]).items():
        faults.skip(reason, count)
    scored = _scores(benchmark, records)
    if not scored["scored"]:
        counts = ", ".join(f"{count} {reason}" for reason, count in faults.skipped.items())
        scored["reason"] = scored.get("reason") or f"no item has a score ({counts})"
    if benchmark.kind == "judge":
        scored["judge"] = settings.judge_name
    chances = [{"score": item.chance} for item in fitting]
    return result | scored | {"chance": mean_of(chances), "cut_off": sum(not r.get("ended", True) for r in records)}, records


def _lacking(benchmark: Benchmark, settings: Settings) -> str:
    """What the settings lack for this benchmark, as a reason; empty if nothing."""
    if benchmark.kind == "judge" and settings.judge is None:
        return "needs a judge (--judge head or FILE)"
    if benchmark.kind == "code" and not settings.run_code:
        return "runs generated code (--run-code)"
    if benchmark.kind == "code":
        try:
            passes("pass")
        except UserError as error:
            return str(error)
    return ""


def read_items(benchmark: Benchmark, job: Job, faults: Faults) -> list[Item]:
    """The items of all records; what is malformed or no item goes to `faults`. Names that come twice get a number."""
    items: list[Item] = []
    for row in rows_of(job, faults):
        try:
            items += benchmark.make(row)
        except UserError as error:
            faults.add(error)
        except Skip as skip:
            faults.skip(str(skip))
    seen: Counter[str] = Counter()
    out = []
    for item in items:
        seen[item.id] += 1
        name = item.id if seen[item.id] == 1 else f"{item.id}#{seen[item.id]}"
        out.append(dataclasses.replace(item, id=name))
    return out


def sample_items(items: Sequence[Item], limit: int, seed: int) -> list[Item]:
    """At least `limit` items, what is drawn together whole, or all: those that come first by a hash of seed and name, so that
    files sorted by topic are sampled evenly and a larger sample holds the smaller one."""
    groups: dict[str, list[Item]] = {}
    for item in items:
        groups.setdefault(item.drawn or item.id, []).append(item)
    out: list[Item] = []
    for name in sorted(groups, key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest()):
        if limit and len(out) >= limit:
            break
        out += groups[name]
    return out


def _tokens(engine: Engine, item: Item) -> int:
    """Tokens of the prompt and its longest option."""
    options = max((len(engine.tokenizer.encode(option)) + 2 for option in item.options), default=0)
    return len(encode_prompt(engine.tokenizer, item.messages)) + options


def _run(engine: Engine, policy: Policy, benchmark: Benchmark, items: list[Item], settings: Settings) -> list[Record]:
    messages = [item.messages for item in items]
    if benchmark.kind == "options":
        logprobs = engine.option_logprobs(policy, messages, [_NO_THOUGHT] * len(items), [item.options for item in items])
        return [
            _record(item, {"logprobs": row}, lambda item=item, row=row: benchmark.grade(item, row))
            for item, row in zip(items, logprobs, strict=True)
        ]
    asked = [item for item in items if item.reply is None]
    numbers = streams(f"{benchmark.name}/{item.id}" for item in asked)
    sampled = engine.replies(policy, [item.messages for item in asked], settings.max_new, settings.seed, numbers)
    replies = dict(zip([item.id for item in asked], sampled, strict=True))
    texts = [clean(item.reply if item.reply is not None else replies[item.id].message.content) for item in items]
    verdicts = _judged(benchmark, items, texts, settings.judge) if benchmark.kind == "judge" else [()] * len(items)
    return [
        _answered(benchmark, item, text, replies.get(item.id), said)
        for item, text, said in zip(items, texts, verdicts, strict=True)
    ]


def _judged(benchmark: Benchmark, items: Sequence[Item], texts: Sequence[str], judge: Judge) -> list[list[Verdict]]:
    """The judge's verdicts on the questions of every item; an empty reply is not asked about."""
    questions = [benchmark.questions(item, text) if text else () for item, text in zip(items, texts, strict=True)]
    out = []
    for start in range(0, len(items), _JUDGED_TOGETHER):
        part = questions[start : start + _JUDGED_TOGETHER]
        said = iter(ask(judge, [question for each in part for question in each]))
        out += [list(islice(said, len(each))) for each in part]
    return out


def _answered(benchmark: Benchmark, item: Item, text: str, reply: Reply | None, verdicts: Sequence[Verdict]) -> Record:
    """The record of an item whose reply was sampled, or came with the file."""
    raw = item.reply if reply is None else reply.message.content
    shown = {"reply": raw} | ({} if reply is None else {"thought": reply.message.thought, "ended": reply.ended})
    if verdicts:
        shown["verdicts"] = verdicts

    def grade() -> Outcome:
        if benchmark.kind == "text":
            return benchmark.grade(item, text.strip())
        if benchmark.kind == "code":
            return benchmark.grade(item, [passes(program) for program in benchmark.programs(item, text)])
        if text:
            return benchmark.grade(item, verdicts)
        if math.isnan(benchmark.empty):
            raise Skip("empty reply")
        return {"score": benchmark.empty}

    return _record(item, shown, grade)


def _record(item: Item, shown: dict[str, Any], grade: Callable[[], Outcome]) -> Record:
    try:
        outcome, reason = grade(), ""
    except Skip as skip:
        outcome, reason = {"score": NAN}, str(skip)
    prompt = [{"role": m.role, "content": m.content} for m in item.messages]
    return (
        {"id": item.id, "cluster": item.cluster, "prompt": prompt, "options": item.options, "reason": reason} | outcome | shown
    )


def _scores(benchmark: Benchmark, records: Sequence[Record]) -> dict[str, Any]:
    """Score, interval and the other numbers of the benchmark's summary."""
    try:
        summary = benchmark.summarise([record for record in records if not record["reason"]])
    except UserError as error:
        return {"scored": 0, "reason": str(error)}
    low_end, high_end = summary.clip
    found = change([block([summary.scores], summary.clusters)])
    interval = (found.mean, found.low, found.high)
    mean, low, high = (min(high_end, max(low_end, v)) if math.isfinite(v) else v for v in interval)
    return {"score": mean, "low": low, "high": high, "scored": len(summary.scores), "extra": dict(summary.extra)}
