"""The record: run conditions, and transcripts of the same prompts side by side."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from traitrl_jax.study.report.charts import Mark, Row, axis, row_chart
from traitrl_jax.study.report.parts import (
    View,
    absent,
    count,
    duration,
    esc,
    figure,
    missing,
    num,
    plain,
    score,
    section,
    short,
    swatch,
    table,
)

Results = Mapping[str, Any]


def conditions(results: Results, view: View) -> str:
    """All that another person needs to run it again and to know what it costs."""
    machine = results.get("machine") or {}
    seconds = {name: num(value) for name, value in (results.get("seconds") or {}).items() if num(value) is not None}
    seeds = [f"{arm.get('name')}: {', '.join(map(str, arm.get('seeds') or []))}" for arm in results.get("arms") or []]
    facts = {
        "Study": results.get("study"),
        "Fingerprint": results.get("fingerprint"),
        "Protocol": results.get("protocol"),
        "Seeds": "; ".join(seeds),
        "Machine": machine.get("cpu"),
        "Cores": machine.get("cores"),
        "Memory": _gigabytes(machine.get("memory_gb")),
        "Peak memory": _gigabytes(results.get("peak_memory_gb")),
        "Time in all": duration(sum(seconds.values())) if seconds else None,
    }
    known = "".join(f"<dt>{esc(name)}</dt><dd>{esc(value)}</dd>" for name, value in facts.items() if value not in (None, ""))
    body = [f'<dl class="facts">{known}</dl>' if known else ""]
    if seconds:
        unit, name = _unit(max(seconds.values()))
        scale = axis([s / unit for s in seconds.values()], lambda v: f"{short(v)} {name}", keep=(0.0,), count=4)
        rows = [
            Row(plain(n), f"{plain(n)}: {duration(s)}", (Mark(s / unit, "k0", "disc", ""),), duration(s), bar=True)
            for n, s in seconds.items()
        ]
        body.append(figure("Time in each stage", row_chart(rows, scale)))
    closed = [
        f'<details class="numbers"><summary>{title}</summary>{table(head, rows, title)}</details>'
        for title, head, rows in (
            ("Configuration", ["Field", "Value"], list(_flat(results.get("config") or {}))),
            ("Versions", ["Package", "Version"], list((results.get("versions") or {}).items())),
        )
        if rows
    ]
    return section("conditions", f'<div class="two">{"".join(body)}</div>', *closed)


def _gigabytes(value: Any) -> str | None:
    return None if num(value) is None else f"{value:.1f} GB"


def _unit(longest: float) -> tuple[float, str]:
    """The unit for an axis of times: seconds in it, and its name."""
    return (3600.0, "h") if longest >= 7200 else (60.0, "min") if longest >= 120 else (1.0, "s")


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Nested records as dotted names; lists of records get an index."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, (list, tuple)) and any(isinstance(item, Mapping) for item in value):
        for index, item in enumerate(value):
            yield from _flat(item, f"{name}[{index}]")
    elif name:
        yield name, ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def transcripts(results: Results, view: View) -> str:
    """Conversations with each model's reply, its thought dimmed, and the rubric lines it met."""
    found = results.get("transcripts") or []
    if not found:
        return absent("transcripts", "No transcripts were kept.")
    names = dict.fromkeys(str(item.get("eval")) for item in found)
    choices = "".join(f"<option>{esc(name)}</option>" for name in names)
    search = (
        '<form class="filter" hidden><label>Eval <select><option value="">all</option>' + choices + "</select></label>"
        '<label>Contains <input type="search" autocomplete="off"></label><output></output></form>'
    )
    items = "".join(_transcript(item, view, index < 2) for index, item in enumerate(found))
    return section("transcripts", search, f'<div class="transcripts">{items}</div>')


def _transcript(item: Results, view: View, opened: bool) -> str:
    replies = item.get("replies") or {}
    rubric = item.get("rubric") or []
    subjects = [s for s in view.subjects if s in replies] + [s for s in replies if s not in view.subjects]
    turns = "".join(
        f'<div class="turn {"user" if turn.get("role") == "user" else "other"}">'
        f'<span class="who">{esc(turn.get("role"))}</span>{esc(turn.get("content"))}</div>'
        for turn in item.get("prompt") or []
    )
    scores = " ".join(
        f"<span>{swatch(view.style(s), view.shape(s))}{esc(score((replies[s] or {}).get('score')))}</span>" for s in subjects
    )
    columns = "".join(_reply(s, replies[s] or {}, rubric, view) for s in subjects) or missing("No replies were kept.")
    return (
        f'<details class="transcript" data-eval="{esc(item.get("eval"))}"{" open" if opened else ""}><summary><span><b>'
        f"{esc(item.get('title') or item.get('id'))}</b> "
        f"<small>{esc(plain(item.get('eval')))} · {esc(item.get('id'))}</small></span>"
        f'<span class="scores">{scores}</span></summary><div class="turns">{turns}</div>'
        f'<div class="replies">{columns}</div></details>'
    )


def _reply(subject: str, reply: Results, rubric: Sequence[Results], view: View) -> str:
    mark = swatch(view.style(subject), view.shape(subject))
    met = reply.get("met") or []
    lines = "".join(_line(line or {}, met[i] if i < len(met) else None) for i, line in enumerate(rubric))
    return (
        f'<div class="reply {view.style(subject)}"><p class="reply-head">{mark}{esc(subject)} '
        f'<b>{score(reply.get("score"))}</b></p><p class="thought">{esc(reply.get("thought") or "")}</p>'
        f'<p class="said">{esc(reply.get("text") or "")}</p><ul class="rubric">{lines}</ul></div>'
    )


def _line(line: Results, met: bool | None) -> str:
    worth = num(line.get("points"))
    good = (worth or 0) > 0
    mark, said = {True: ("✓", "met"), False: ("✗" if good else "○", "unmet")}.get(met, ("–", "not judged"))
    kind = "open" if met is None else "good" if met == good else "bad"
    value = "" if worth is None else f"{worth:+g}".replace("-", "−")
    return (
        f'<li class="{kind}"><span class="tick" role="img" aria-label="{said}">{mark}</span>'
        f'<span>{esc(line.get("text"))}</span><span class="worth">{value}</span></li>'
    )


def summary(results: Results) -> str:
    """The line at the foot of the page."""
    parts = [count(len(results.get("evals") or []), "eval"), count(len(results.get("arms") or []), "arm")]
    return f"Study {esc(results.get('study') or '')}, {', '.join(parts)}, protocol {esc(results.get('protocol') or '–')}."
