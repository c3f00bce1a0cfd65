"""Capability that training should keep: GSM8K, BIG-Bench Hard, IFEval. Reported beside the suite, not a trait."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from traitrl_jax.config import UserError
from traitrl_jax.evals.public.files import Row
from traitrl_jax.evals.public.grading import chosen, last_number, probabilities
from traitrl_jax.evals.public.ifeval import CHECKS, follows, loosely
from traitrl_jax.evals.public.schema import Benchmark, Item, Outcome, Record, Summary, mean_of, mean_score, scored_records
from traitrl_jax.text.chat import Message


def _gsm_item(row: Row) -> Item:
    answer = row.text("answer")
    if "####" not in answer or last_number(answer.rsplit("####", 1)[1]) != last_number(answer):
        raise row.fault("answer", "has no number behind ####", 'end it with "#### 42"')
    return Item(row.id, (Message("user", row.text("question")),), row.id, chance=0.0, state={"right": last_number(answer)})


GSM8K = Benchmark(
    name="gsm8k",
    family="capability",
    kind="text",
    rule="exact match of the number behind ####, or else the last number of the reply",
    means="the final number is right",
    source="Cobbe et al. 2021, arXiv 2110.14168, section 2",
    matches=lambda record, path: set(record) >= {"question", "answer"} and "####" in str(record["answer"]),
    make=lambda row: [_gsm_item(row)],
    grade=lambda item, reply: {"score": float(last_number(reply) == item.state["right"])},
)

_PAIRS = (("Yes", "No"), ("yes", "no"), ("True", "False"), ("valid", "invalid"))


def _bbh_options(text: str, target: str) -> tuple[str, ...]:
    """The listed options ("(A)", or the text behind "- "), or the pair the target belongs to; none for free answers."""
    if "Options:" in text:
        listed = text.rsplit("Options:", 1)[1]
        found = re.findall(r"^\s*(\([A-Z]\))", listed, re.MULTILINE) or re.findall(r"^\s*-\s*(\S.*?)\s*$", listed, re.MULTILINE)
        return tuple(dict.fromkeys(found))
    return next((pair for pair in _PAIRS if target in pair), ())


def _bbh_item(row: Row, choice: bool) -> list[Item]:
    text, target = row.text("input"), row.text("target").strip()
    options = _bbh_options(text, target)
    if choice != bool(options):
        return []
    if options and target not in options:
        raise row.fault("target", "is none of the options", f"write one of {', '.join(options)}")
    chance = 1 / len(options) if options else 0.0
    right = options.index(target) if options else target
    return [Item(row.id, (Message("user", text),), row.id, options, chance, state={"right": right})]


def _is_bbh(choice: bool):
    def matches(record: Mapping[str, Any], path: Path) -> bool:
        if not (set(record) >= {"input", "target"} and isinstance(record["input"], str)):
            return False
        return bool(_bbh_options(record["input"], str(record["target"]).strip())) == choice

    return matches


def exact(reply: str, target: str) -> float:
    """Whether the reply, or what follows "the answer is" in it, is the target; case, a last full stop and blanks do not
    matter."""

    def plain(text: str) -> str:
        return " ".join(text.lower().strip().removesuffix(".").split())

    said = re.split(r"the answer is:?", reply, flags=re.IGNORECASE)[-1]
    return float(plain(target) in (plain(reply), plain(said)))


_SUZGUN = "Suzgun et al. 2022, arXiv 2210.09261, section 3"
BBH = Benchmark(
    name="bbh",
    family="capability",
    kind="options",
    rule="exact match; here the option with the highest log-probability, without examples or chain of thought",
    means="the right option is the likeliest",
    source=_SUZGUN,
    matches=_is_bbh(True),
    make=lambda row: _bbh_item(row, True),
    grade=lambda item, logprobs: {"score": chosen(probabilities(logprobs), (item.state["right"],))},
)
BBH_FREE = Benchmark(
    name="bbh_free",
    family="capability",
    kind="text",
    rule="exact match of the reply, or of what follows 'the answer is'",
    means="the answer is right",
    source=_SUZGUN,
    matches=_is_bbh(False),
    make=lambda row: _bbh_item(row, False),
    grade=lambda item, reply: {"score": exact(reply, item.state["right"])},
)


def _ifeval_item(row: Row) -> Item:
    names, settings = row.texts("instruction_id_list"), row.get("kwargs")
    if not isinstance(settings, list) or len(settings) != len(names) or not all(isinstance(s, dict) for s in settings):
        raise row.fault("kwargs", "has not one object per instruction", "write as many as instruction_id_list has")
    rules = []
    for name, given in zip(names, settings, strict=True):
        if name not in CHECKS:
            raise row.fault("instruction_id_list", f"names the unknown rule {name!r}", "use the published rules")
        given = {key: value for key, value in given.items() if value is not None}
        try:
            follows(name, given, "a test")  # a rule whose settings are missing or of a wrong type shows it here
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(
                f"{row.path}:{row.line}: field 'kwargs': {name} has wrong settings ({error!r}); see IFEval"
            ) from None
        rules.append((name, given))
    key = str(row.get("key"))
    return Item(key, (Message("user", row.text("prompt")),), key, state={"rules": rules})


def grade_ifeval(item: Item, reply: str) -> Outcome:
    """1 if every rule is followed (strict); `loose` forgives first and last lines and asterisks; shares of rules beside."""
    rules = item.state["rules"]
    strict = [bool(reply) and follows(name, given, reply) for name, given in rules]
    loose = [bool(reply) and loosely(name, given, reply) for name, given in rules]
    return {
        "score": float(all(strict)),
        "loose": float(all(loose)),
        "rules_strict": sum(strict),
        "rules_loose": sum(loose),
        "rules": len(rules),
    }


def _ifeval_summary(records: Sequence[Record]) -> Summary:
    found, plain = scored_records(records), mean_score(records)
    rules = sum(r["rules"] for r in found) or float("nan")
    extra = {
        "prompt_loose": mean_of(found, "loose"),
        "instruction_strict": sum(r["rules_strict"] for r in found) / rules,
        "instruction_loose": sum(r["rules_loose"] for r in found) / rules,
    }
    return Summary(plain.scores, plain.clusters, extra)


IFEVAL = Benchmark(
    name="ifeval",
    family="capability",
    kind="text",
    rule="prompt-level strict accuracy; prompt-level loose and instruction-level accuracies beside (extra)",
    means="all checkable instructions of a prompt are followed",
    source="Zhou et al. 2023, arXiv 2311.07911, section 2 and appendix",
    matches=lambda record, path: "instruction_id_list" in record,
    make=lambda row: [_ifeval_item(row)],
    grade=grade_ifeval,
    summarise=_ifeval_summary,
)

CAPABILITY = (GSM8K, BBH, BBH_FREE, IFEVAL)
