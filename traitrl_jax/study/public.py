"""Public benchmarks on the subjects of a study: runs/<study>/public/<subject>/<benchmark>/, and a table."""

import runpy
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from traitrl_jax.config import StudyConfig, UserError
from traitrl_jax.evals.engine import Engine, Policy
from traitrl_jax.evals.public.files import digest
from traitrl_jax.evals.public.jobs import find_jobs
from traitrl_jax.evals.public.runner import Settings, run_job
from traitrl_jax.evals.public.schema import Judge, Question, Verdict
from traitrl_jax.evals.public.table import public_table
from traitrl_jax.runtime.files import check_writable, folder_lock, plain, write_json_atomic
from traitrl_jax.runtime.processes import from_first, held_by_first, is_first
from traitrl_jax.study.head_judge import head_judge
from traitrl_jax.study.measure import subjects
from traitrl_jax.study.run import Study, use_compilation_cache

_BATCH, _BUCKETS = 16, (128, 256, 512)
_NEEDED_MB = 200
HEAD = "head"  # as a judge: the study's rubric head
_HEAD_SAID = (
    "Free answers were judged by the study's own rubric head. The arms were trained on it, so a score may say how well they\n"
    "please it, and it was fitted on rubrics of another kind; k_qa_nli, which compares it with physicians, says how it reads"
)


def evaluate_public(
    config: StudyConfig,
    benchmarks: str,
    subject: str | None = None,
    limit: int = 0,
    max_new: int = 128,
    context: int = 1024,
    judge: str | None = None,
    run_code: bool = False,
    out: str | None = None,
) -> str:
    """Measure every subject, or one, on every benchmark below the folder `benchmarks`; the tables as text.

    What is measured already is not measured again. Raises UserError for a folder without data, numbers below 1 (limit: 0), a
    judge that can not be loaded, and subjects that are not trained.
    """
    for name, value, low in (("limit", limit, 0), ("max-new", max_new, 1), ("context", context, 16)):
        if value < low:
            raise UserError(f"--{name} {value}: must be at least {low}")
    jobs, function, judge_name = find_jobs(Path(benchmarks)), None, ""
    if judge not in (None, HEAD):
        function, judge_name = load_judge(Path(judge)), f"{Path(judge).name} {digest(Path(judge))}"
    study, tables = Study(config), []
    root = Path(out) if out else study.folder / "public"
    from_first("is the folder writable", check_writable, root, _NEEDED_MB)
    with held_by_first(folder_lock(root)), study.on_mesh():
        names = [subject] if subject else subjects(config)
        study.open(*names)
        if config.compilation_cache:
            use_compilation_cache(study.folder.root)
        buckets = (*(size for size in _BUCKETS if size < context), context)
        engine = Engine(study.model, study.tokenizer, _BATCH, config.evals.temperature, buckets)
        if judge == HEAD:
            head, name = study.load_head()
            function, judge_name = head_judge(study.model, head, study.tokenizer, buckets), f"head {name}"
        settings = Settings(limit=limit, max_new=max_new, run_code=run_code, judge=function, judge_name=judge_name)
        for name in names:
            results = run_jobs(engine, study.policy(name), jobs, settings, root / name, study.made_of(name))
            tables.append(f"{name}\n{public_table(results)}\nresults: {root / name / 'results.json'}")
    if judge == HEAD:
        tables.append(_HEAD_SAID + _agreement(results))
    return "\n\n".join(tables)


def _agreement(results: Sequence[Mapping[str, Any]]) -> str:
    """How the judge agrees with physicians, where it was asked; the rest of a sentence."""
    found = [row["extra"] for row in results if row["name"].startswith("k_qa_nli") and row["scored"]]
    if not found:
        return " (not among these benchmarks)."
    yes, no = (found[0][f"agreement_{side}"] for side in ("entailed", "not_entailed"))
    return f":\nit finds {yes:.0%} of what an answer does say, and does not find {no:.0%} of what it does not."


def run_jobs(
    engine: Engine, policy: Policy, jobs: Sequence[Any], settings: Settings, folder: Path, subject: str
) -> list[dict[str, Any]]:
    """The results of all jobs, in `folder`/<job>/ and together in `folder`/results.json; progress on stderr."""
    results = []
    for number, job in enumerate(jobs, start=1):
        result = run_job(engine, policy, job, settings, folder / job.name, subject)
        results.append(result)
        said = result["reason"] or f"{result['score']:.3f} on {result['scored']} items"
        if is_first():
            print(f"[{number}/{len(jobs)}] {job.name}: {said} ({result['seconds']} s)", file=sys.stderr, flush=True)
    write_json_atomic(folder / "results.json", {"subject": subject, "benchmarks": results})
    return results


def load_judge(path: Path) -> Judge:
    """The function `judge` of a Python file: questions (evals/public/schema.Question) -> one verdict each. Raises UserError
    if there is none. The file is run, as a config is. Of several processes the first one asks the judge."""
    if not path.is_file():
        raise UserError(f"--judge {path}: no such file; give a Python file that defines judge(questions), or '{HEAD}'")
    try:
        function = runpy.run_path(str(path)).get("judge")
    except Exception as error:  # whatever the user's code raises
        raise UserError(f"--judge {path}: {type(error).__name__}: {error}") from None
    if not callable(function):
        raise UserError(f"--judge {path}: defines no function judge(questions); add one that returns a verdict per question")

    def asked(questions: Sequence[Question]) -> dict[str, Any]:
        try:
            return {"verdicts": plain(list(function(questions)))}
        except Exception as error:  # as above; the others wait for an answer
            return {"failed": f"{type(error).__name__}: {error}"}

    def judge(questions: Sequence[Question]) -> list[Verdict]:
        found = from_first("the judge", asked, questions)
        if "failed" in found:
            raise RuntimeError(found["failed"])
        return found["verdicts"]

    return judge
