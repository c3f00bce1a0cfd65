"""Health: K-QA, PubMedQA, HealthBench and its Professional set."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from traitrl_jax.evals.public.files import Row, read_bytes
from traitrl_jax.evals.public.grading import chosen, fill, met, probabilities
from traitrl_jax.evals.public.schema import (
    Benchmark,
    Item,
    Outcome,
    Question,
    Record,
    Skip,
    Summary,
    Verdict,
    mean_of,
    mean_score,
    mean_score_and,
    scored_records,
)
from traitrl_jax.text.chat import Message

ENTAILS, CONTRADICTS = "is_entails_prompt.txt", "is_contradict_prompt.txt"  # K-QA's judge prompts, beside its data


@lru_cache(maxsize=8)
def _prompt(path: Path) -> str:
    return read_bytes(path).decode("utf-8", "replace") if path.is_file() else ""


def _filled(folder: Path, name: str, question: str, reply: str, claim: str) -> str:
    template = _prompt(folder / name)
    return fill(template, question=question, llm_answer=reply, answer=claim) if template else ""


def _kqa_item(row: Row) -> Item:
    question = row.text("Question")
    nice = row.texts("Nice_to_have") if row.get("Nice_to_have") else []
    state = {"must": row.texts("Must_have"), "nice": nice, "folder": str(row.path.parent), "question": question}
    return Item(row.id, (Message("user", question),), row.id, state=state)


def _kqa_questions(item: Item, reply: str) -> list[Question]:
    """Must_have entailed, then every statement contradicted."""
    folder, question, must = Path(item.state["folder"]), item.state["question"], item.state["must"]
    asked = [(f"The reply says: {claim}", ENTAILS, claim) for claim in must]
    asked += [(f"The reply contradicts: {claim}", CONTRADICTS, claim) for claim in (*must, *item.state["nice"])]
    return [Question(item.messages, reply, text, _filled(folder, name, question, reply, claim)) for text, name, claim in asked]


def grade_kqa(item: Item, verdicts: Sequence[Verdict]) -> Outcome:
    """Comprehensiveness: share of Must_have statements the reply entails. Hallucination: number of statements it
    contradicts."""
    must = len(item.state["must"])
    p = [met(verdict) for verdict in verdicts]
    return {"score": sum(p[:must]) / must, "hallucinated": sum(p[must:])}


KQA = Benchmark(
    name="k_qa",
    family="health",
    kind="judge",
    rule="comprehensiveness: share of Must_have statements entailed; hallucination: statements contradicted (extra)",
    means="replies say what physicians hold must be said; an empty reply says nothing and scores 0",
    source="Manes et al. 2024, arXiv 2401.14493, section 3",
    matches=lambda record, path: "Must_have" in record and "Question" in record,
    make=lambda row: [_kqa_item(row)],
    grade=grade_kqa,
    questions=_kqa_questions,
    summarise=mean_score_and(hallucinated_statements="hallucinated"),
    empty=0.0,
)


def _nli_item(row: Row) -> Item:
    label = row.text("majority_label").strip()
    if label not in ("Entailment", "Neutral", "Contradiction"):
        raise row.fault("majority_label", "is no label", "write Entailment, Neutral or Contradiction")
    question = row.text("Question")
    state = {"entails": label == "Entailment", "claim": row.text("claim"), "folder": str(row.path.parent), "question": question}
    return Item(row.id, (Message("user", question),), question, reply=row.text("answer"), state=state)


def _nli_questions(item: Item, reply: str) -> list[Question]:
    claim = item.state["claim"]
    prompt = _filled(Path(item.state["folder"]), ENTAILS, item.state["question"], reply, claim)
    return [Question(item.messages, reply, f"The reply says: {claim}", prompt)]


def grade_nli(item: Item, verdicts: Sequence[Verdict]) -> Outcome:
    """Agreement of the judge with the physicians' majority on entailment."""
    p = met(verdicts[0])
    return {"score": 0.5 if p == 0.5 else float((p > 0.5) == item.state["entails"]), "entails": float(item.state["entails"])}


def _nli_summary(records: Sequence[Record]) -> Summary:
    found, plain = scored_records(records), mean_score(records)
    sides = {
        name: mean_of([r for r in found if r["entails"] == side]) for name, side in (("entailed", 1.0), ("not_entailed", 0.0))
    }
    return Summary(plain.scores, plain.clusters, {f"agreement_{name}": value for name, value in sides.items()})


KQA_NLI = Benchmark(
    name="k_qa_nli",
    family="health",
    kind="judge",
    rule="agreement with the majority of three physicians on entailment; measures the judge, not the model",
    means="the judge reads statements in answers as physicians do",
    source="Manes et al. 2024, arXiv 2401.14493, section 5",
    matches=lambda record, path: "majority_label" in record and "claim" in record,
    make=lambda row: [_nli_item(row)],
    grade=grade_nli,
    questions=_nli_questions,
    summarise=_nli_summary,
)

_DECISIONS = ("yes", "no", "maybe")


def _pubmed_item(row: Row) -> Item:
    decision = row.text("final_decision")
    if decision not in _DECISIONS:
        raise row.fault("final_decision", "is no decision", "write yes, no or maybe")
    abstract = "\n".join(row.texts("CONTEXTS"))
    ask = f"{abstract}\n\nQuestion: {row.text('QUESTION')}\nAnswer with yes, no or maybe."
    name = str(row.record.get("pmid") or row.record.get("key") or row.id)
    return Item(name, (Message("user", ask),), name, _DECISIONS, 1 / 3, state={"right": _DECISIONS.index(decision)})


def _pubmed_grade(item: Item, logprobs: Sequence[float]) -> Outcome:
    p = probabilities(logprobs)
    return {"score": chosen(p, (item.state["right"],)), "said": p.index(max(p)), "right": item.state["right"]}


def _pubmed_summary(records: Sequence[Record]) -> Summary:
    found, plain = scored_records(records), mean_score(records)
    return Summary(
        plain.scores, plain.clusters, {"macro_f1": macro_f1([(r["said"], r["right"]) for r in found], len(_DECISIONS))}
    )


def macro_f1(pairs: Sequence[tuple[int, int]], classes: int) -> float:
    """Mean over the classes of F1 of (said, right) pairs; a class neither said nor right has 0, as in the benchmark's
    script."""
    total = 0.0
    for each in range(classes):
        both = sum(said == each and right == each for said, right in pairs)
        either = sum(said == each for said, _ in pairs) + sum(right == each for _, right in pairs)
        total += 2 * both / either if either else 0.0
    return total / classes


PUBMEDQA = Benchmark(
    name="pubmedqa",
    family="health",
    kind="options",
    rule="accuracy and macro F1 (extra) of yes, no, maybe given the abstract",
    means="conclusions of medical abstracts are answered right",
    source="Jin et al. 2019, arXiv 1909.06146, section 5",
    matches=lambda record, path: "QUESTION" in record and "final_decision" in record,
    make=lambda row: [_pubmed_item(row)],
    grade=_pubmed_grade,
    summarise=_pubmed_summary,
)


def _health_item(row: Row) -> Item:
    if "rubric_items" in row.record:  # Professional
        talk = row.get("conversation")
        inner = Row(talk, row.path, row.line) if isinstance(talk, dict) else row
        messages, rubric = inner.messages("messages"), row.rubric("rubric_items", "criterion_text")
    else:
        messages, rubric = row.messages("prompt"), row.rubric("rubrics", "criterion")
    if messages[-1].role == "assistant":
        raise Skip("the assistant has the last word")
    name = str(row.record.get("prompt_id") or row.record.get("id") or row.id)
    return Item(name, messages, name, state={"rubric": rubric})


def grade_rubric(item: Item, verdicts: Sequence[Verdict]) -> Outcome:
    """Sum of P(met) times points over the sum of positive points; below 0 for replies that only do what they should not."""
    rubric = item.state["rubric"]
    got = sum(met(verdict) * points for verdict, (_, points) in zip(verdicts, rubric, strict=True))
    return {"score": got / sum(points for _, points in rubric if points > 0)}


def _clipped(records: Sequence[Record]) -> Summary:
    plain = mean_score(records)
    return Summary(plain.scores, plain.clusters, clip=(0.0, 1.0))


HEALTHBENCH = Benchmark(
    name="healthbench",
    family="health",
    kind="judge",
    rule="points of met criteria over the sum of positive points; mean clipped to [0, 1]",
    means="replies do what physicians' rubrics ask; an empty reply meets no criterion and scores 0",
    source="Arora et al. 2025, arXiv 2505.08775, section 3; Professional: the same with rubric_items",
    matches=lambda record, path: "rubrics" in record or "rubric_items" in record,
    make=lambda row: [_health_item(row)],
    grade=grade_rubric,
    questions=lambda item, reply: [Question(item.messages, reply, text) for text, _ in item.state["rubric"]],
    summarise=_clipped,
    empty=0.0,
)

HEALTH = (KQA, KQA_NLI, PUBMEDQA, HEALTHBENCH)
