"""What every command does: each function loads what it needs and calls one function of the package.

What is heavy is imported by the command that needs it, so that `traitrl --help` answers at once.
"""

import argparse
import os
from pathlib import Path

from traitrl_jax.config import StudyConfig, UserError
from traitrl_jax.runtime import processes

# Options of `traitrl eval --suite public` and their defaults.
PUBLIC = {
    "benchmarks": None, "limit": 0, "max_new": 128, "context": 1024, "judge": None, "run_code": False, "out": None
}  # fmt: skip


def study(config: StudyConfig, args: argparse.Namespace) -> None:
    """Run everything that is not done yet and print the headline."""
    from traitrl_jax.study.run import Study, summary

    report = Study(config).run()
    if processes.is_first():
        print(f"{summary(report.parent)}\nreport: {report}")


def train(config: StudyConfig, args: argparse.Namespace) -> None:
    """Start model, grader and arms, without measurements."""
    from traitrl_jax.study.run import Study

    for folder in Study(config).train(args.arm):
        if processes.is_first():
            print(f"trained: {folder}")


def evaluate(config: StudyConfig, args: argparse.Namespace) -> None:
    """The suite on a study's subjects or a checkpoint, as a table by group; or public benchmarks from their files."""
    subject = args.subject or ("start" if args.checkpoint else None)
    given = [f"--{n.replace('_', '-')}" for n, default in PUBLIC.items() if getattr(args, n) != default]
    if args.suite == "public":
        if args.benchmarks is None:
            raise UserError("--suite public needs --benchmarks DIR, the folder that holds the benchmarks' files")
        from traitrl_jax.study.public import evaluate_public

        tables = evaluate_public(config, subject=subject, **{name: getattr(args, name) for name in PUBLIC})
        if processes.is_first():
            print(tables)
        return
    if given:
        raise UserError(f"{given[0]} belongs to --suite public; add that, or leave it out")
    from traitrl_jax.study.run import Study
    from traitrl_jax.study.table import suite_table

    made = Study(config)
    subjects = made.evaluate(subject)
    if processes.is_first():
        print(suite_table(made.folder, subjects))


def compare(args: argparse.Namespace) -> None:
    """What rose and what fell between two measured models, with intervals: B minus A, as a table and an HTML page.

    A and B are folders of eval records, or names in a study's folder: a run (trait-s0), an arm (trait: all its seeds) or start.
    """
    from traitrl_jax.study.compare.write import compare_sides

    print(compare_sides((args.a, args.b), Path(args.study), Path(args.html) if args.html else None))


def retest(config: StudyConfig, args: argparse.Namespace) -> None:
    """Measure a subject once more with another seed: how many evals differ beyond their intervals."""
    from traitrl_jax.study.compare.write import retest_folders
    from traitrl_jax.study.run import Study

    print(retest_folders(*Study(config).retest(args.subject)))


def structure(args: argparse.Namespace) -> None:
    """What the evals share over the runs of a study: rank correlation and first component, with permutation nulls."""
    from traitrl_jax.study.compare.write import shared_structure

    print(shared_structure([Path(folder) for folder in args.study]))


def export_inspect(args: argparse.Namespace) -> None:
    """Eval records as Inspect logs, one .eval file an eval and run; open them with: inspect view --log-dir FOLDER."""
    from traitrl_jax.study.compare.write import export_inspect as export

    print(export(args.side, Path(args.study), Path(args.out)))


def report(config: StudyConfig, args: argparse.Namespace) -> None:
    """Make results.json and report.html anew from the files of a finished study."""
    from traitrl_jax.study.run import Study

    print(f"report: {Study(config).report()}")


def chat(config: StudyConfig, args: argparse.Namespace) -> None:
    """Talk to a model of a study or to a checkpoint. Lines: /reset forgets the conversation, /quit or Ctrl-D ends it."""
    from traitrl_jax.study.chat import chat as talk
    from traitrl_jax.study.run import Study

    made = Study(config)
    with made.on_mesh():
        made.open(args.subject)
        talk(made.engine, made.policy(args.subject), args.system)


def export_weights(config: StudyConfig, args: argparse.Namespace) -> None:
    """Write a trained subject as a checkpoint folder that other programs load (bfloat16 safetensors)."""
    from traitrl_jax.study.run import Study

    Study(config).export(args.subject, Path(args.to))
    print(f"exported: {args.to}")


def bench_ppo(config: StudyConfig, args: argparse.Namespace) -> None:
    """Time the phases of a PPO step against what this machine's arithmetic and memory allow."""
    from traitrl_jax.study.bench.ppo import bench_ppo as bench

    print(bench(config, args.preset, args.model, args.bucket, args.mesh, args.json, args.steps))


def bench_update(config: StudyConfig, args: argparse.Namespace) -> None:
    """Compile and run one PPO update of a model of any size: seconds and peak memory."""
    from traitrl_jax.study.bench.update import bench_update as bench

    print(bench(config, args.model, args.bucket, args.mesh, args.json, args.steps))


def bench_grading(config: StudyConfig, args: argparse.Namespace) -> None:
    """Time grading all criteria in one call, the conversation read once, against a call for each of them."""
    from traitrl_jax.study.bench.grading import bench_grading as bench

    print(bench(config, args.model, args.tokens, args.criteria, args.rows, args.repeats, args.json))


def bench_data(config: StudyConfig, args: argparse.Namespace) -> None:
    """Time drawing and tokenising training rows, and watch memory while many are drawn."""
    from traitrl_jax.data.bench import bench_data as bench

    print(bench(config, args.traits, args.standard, args.dose, args.draws, args.rows, args.json))


def bench_rubrics(config: StudyConfig, args: argparse.Namespace) -> None:
    """Whether a rubric head tells good from flawed replies in domains it was not fitted on, and whether their form does."""
    from traitrl_jax.study.separation import bench_rubrics as bench

    print(bench(config, args.files, args.folds, args.steps, args.seed, args.json))


def compile_programs(config: StudyConfig, args: argparse.Namespace) -> None:
    """Compile a step's programs for a TPU slice, on any machine: does it fit, what does it take, how fast could it be.

    No TPU and no weights are needed, only libtpu: pip install -e ".[tpu]". Slices: v4, v5e, v5p and v6e with their shape in
    chips, such as v5e:2x4 or v5p:2x4x4."""
    os.environ["JAX_PLATFORMS"] = "cpu"  # read when jax is loaded: this command computes nothing on devices
    if args.quick:
        os.environ["JAX_OPTIMIZATION_LEVEL"] = "O0"
    from traitrl_jax.study.ahead import compile_ahead

    print(compile_ahead(config, args.topology, args.search, args.json))


def list_models(args: argparse.Namespace) -> None:
    """Published models that a study can start from, with parameters and memory."""
    from traitrl_jax.models.families import models_table

    print(models_table())


def preview_world(args: argparse.Namespace) -> None:
    """Scenarios with rubric, twin and two authors' replies."""
    from traitrl_jax.data.preview import preview_world as preview

    print(preview(args.n, args.seed))


def preview_tasks(args: argparse.Namespace) -> None:
    """Standard tasks of every family with their answers."""
    from traitrl_jax.data.preview import preview_tasks as preview

    print(preview(args.n, args.seed))


def preview_problems(args: argparse.Namespace) -> None:
    """Standard problems of every family and level with their answers."""
    from traitrl_jax.data.preview import preview_problems as preview

    print(preview(args.n, args.seed))


def preview_scenarios(args: argparse.Namespace) -> None:
    """Authored scenarios with rubric, replies and verdicts."""
    from traitrl_jax.data.preview import preview_scenarios as preview

    print(preview(args.n, args.seed, args.trait, args.domain, args.file))


def data_check(args: argparse.Namespace) -> None:
    """Every fault of scenario files with file, line, field and remedy; then counts, pressures, lengths, likeness and leaks.

    Without FILE it checks the shipped set, by its own stricter rules. Exit code 2 where there is a fault."""
    from traitrl_jax.data.authored import authored_files
    from traitrl_jax.data.check import check_files

    shipped = not args.file
    files = args.file or authored_files()
    strict = shipped or args.strict
    faults = check_files(files, print, args.benchmarks, args.own_traits, strict, complete=shipped)
    if faults:
        raise UserError(f"{faults} faults in {len(files)} files; each is named above with its remedy")


def data_report(args: argparse.Namespace) -> None:
    """A scenario set as one HTML page: the grid of traits and domains, pressures, lengths, replies and samples."""
    from traitrl_jax.data.authored import authored_files
    from traitrl_jax.data.report import write_report

    print(f"report: {write_report(args.file or authored_files(), args.out, args.samples)}")


def data_synthesize(args: argparse.Namespace) -> None:
    """Write new scenarios with a language model: draft, criticise, repair, grade, filter. The same command continues.

    Models are NAME (at --url), NAME@URL for an OpenAI-compatible endpoint, or local:CONFIG:SUBJECT for a trained subject of a
    study. A trait of your own: --traits NAME --meaning "what it does"."""
    from traitrl_jax.data.synthesize import Prices
    from traitrl_jax.study.synthesis import run_synthesis

    prices = Prices(args.price_in, args.price_out)
    names = ("out", "model", "grader", "start", "url", "key_env", "traits", "domains", "meaning", "per_cell", "seed")
    options = {name: getattr(args, name) for name in (*names, "concurrency", "against", "dry_run")}
    print(run_synthesis(**options, prices=prices))
