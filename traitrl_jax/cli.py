"""Commands: each loads the config and calls one function. What is heavy is imported by the command that needs it.

Exit codes: 0 done, 2 the user's mistake, 130 Ctrl-C, 141 nobody reads the output, 143 stopped by a signal with the state saved.
"""

import argparse
import errno
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from traitrl_jax import __version__
from traitrl_jax.config import StudyConfig, UserError, load_config, unknown
from traitrl_jax.runtime import processes
from traitrl_jax.runtime.checkpoint import Stopped
from traitrl_jax.runtime.files import disk_error

DEFAULT_CONFIG, DEFAULT_STUDY = "configs/quick.py", "runs/quick"
# Options of `traitrl eval --suite public` and their defaults.
PUBLIC = {
    "benchmarks": None, "limit": 0, "max_new": 128, "context": 1024, "judge": None, "run_code": False, "out": None
}  # fmt: skip
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


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
    """The suite on trained subjects, as a table by group; or public benchmarks from their files, as a table of all."""
    given = [f"--{n.replace('_', '-')}" for n, default in PUBLIC.items() if getattr(args, n) != default]
    if args.suite == "public":
        if args.benchmarks is None:
            raise UserError("--suite public needs --benchmarks DIR, the folder that holds the benchmarks' files")
        from traitrl_jax.study.public import evaluate_public

        print(evaluate_public(config, subject=args.subject, **{name: getattr(args, name) for name in PUBLIC}))
        return
    if given:
        raise UserError(f"{given[0]} belongs to --suite public; add that, or leave it out")
    from traitrl_jax.study.run import Study
    from traitrl_jax.study.table import suite_table

    made = Study(config)
    subjects = made.evaluate(args.subject)
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
    """Talk to a model of a study. Lines: /reset forgets the conversation, /quit or Ctrl-D ends it."""
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


SEVERAL = (study, train, evaluate)  # what may run in several processes; of evaluate, the world's suite


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are UserErrors that name what comes nearest."""

    def __init__(self, **options):
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **options)

    def error(self, message: str):
        choice = re.search(r"argument ([\w-]+): invalid choice: '?([^']*?)'? \(choose from (.*)\)", message)
        if choice:
            kind = f"value of {choice[1]}" if choice[1].startswith("-") else "command"
            raise unknown(kind, choice[2], re.findall(r"[\w-]+", choice[3]))
        raise UserError(f"{message}; see {self.prog} --help")

    def flags(self) -> list[str]:
        """The long options this command takes."""
        return sorted(set(re.findall(r"--[a-z][\w-]*", self.format_help())))


def make_parser() -> Parser:
    """All commands with their arguments."""
    parser = Parser(
        prog="traitrl",
        description="Train alignment traits by reinforcement learning, and measure what generalises and what persists.",
        epilog=f"start here:  traitrl study --config {DEFAULT_CONFIG}",
    )
    parser.add_argument("--version", action="version", version=f"traitrl_jax {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND")

    def add(under, name: str, run, title: str | None = None) -> Parser:
        command = under.add_parser(name, help=title or _first(run), description=run.__doc__ if run else title)
        command.set_defaults(run=run, parser=command)
        return command

    def add_study(under, name: str, run) -> Parser:
        command = add(under, name, run)
        command.add_argument("--config", default=DEFAULT_CONFIG, metavar="FILE", help="study config (default: %(default)s)")
        command.add_argument(
            "--set", action="append", default=[], metavar="A.B=VALUE", help="change a config field; may be repeated"
        )
        return command

    add_study(commands, "study", study)
    add_study(commands, "train", train).add_argument("--arm", metavar="NAME", help="only this arm")
    suite = add_study(commands, "eval", evaluate)
    suite.add_argument("--subject", metavar="NAME", help="such as trait-s0 (default: all)")
    suite.add_argument("--suite", choices=("world", "public"), default="world", help="(default: %(default)s)")
    _add_public(suite.add_argument_group("public benchmarks"))
    against = add(commands, "compare", compare)
    against.add_argument("a", metavar="A", help="the side compared with, such as baseline")
    against.add_argument("b", metavar="B", help="the side compared, such as trait")
    against.add_argument(
        "--study", metavar="FOLDER", default=DEFAULT_STUDY, help="where names are looked up (default: %(default)s)"
    )
    against.add_argument("--html", metavar="FILE", help="the page (default: compare/A-B.html in the study's folder)")
    again = add_study(commands, "retest", retest)
    again.add_argument("--subject", metavar="NAME", default="start", help="such as trait-s0 (default: %(default)s)")
    over = add(commands, "structure", structure)
    over.add_argument(
        "--study", metavar="FOLDER", nargs="+", default=[DEFAULT_STUDY], help="one or more (default: %(default)s)"
    )
    out = add(commands, "export", None, "Write weights or results in other formats.").add_subparsers(metavar="WHAT")
    logs = add(out, "inspect", export_inspect)
    logs.add_argument("side", metavar="A", help="a folder of eval records, or a name in the study's folder, such as trait-s0")
    logs.add_argument("--study", metavar="FOLDER", default=DEFAULT_STUDY, help="of the name (default: %(default)s)")
    logs.add_argument("--out", metavar="FOLDER", default="logs", help="where the logs go (default: %(default)s)")
    add_study(commands, "report", report)
    talk = add_study(commands, "chat", chat)
    talk.add_argument("--subject", metavar="NAME", default="start", help="such as trait-s0 (default: %(default)s)")
    talk.add_argument("--system", metavar="TEXT", default="", help="system prompt")
    written = add_study(out, "weights", export_weights)
    written.add_argument("--subject", metavar="NAME", default="start", help="such as trait-s0 (default: %(default)s)")
    written.add_argument("--to", metavar="FOLDER", required=True, help="folder to write")
    bench = add(commands, "bench", None, "Measure speed, and what a scenario set can teach a grader.").add_subparsers(
        metavar="WHAT"
    )
    ppo = add_study(bench, "ppo", bench_ppo)
    ppo.add_argument("--preset", choices=("quick", "peer"), default="quick", help="shapes: of the config, or fixed ones")
    ppo.add_argument("--steps", type=int, default=5, help="that are timed (default: %(default)s)")
    grading = add_study(bench, "grading", bench_grading)
    grading.add_argument("--tokens", type=int, default=1024, help="of a conversation and its reply (default: %(default)s)")
    grading.add_argument("--criteria", type=int, default=8, help="of a rubric (default: %(default)s)")
    grading.add_argument("--rows", type=int, default=4, help="conversations in a call (default: %(default)s)")
    grading.add_argument("--repeats", type=int, default=5, help="that are timed (default: %(default)s)")
    update = add_study(bench, "update", bench_update)
    update.add_argument("--steps", type=int, default=1, help="that are timed (default: %(default)s)")
    for timed in (ppo, grading, update):
        timed.add_argument(
            "--model", default="", metavar="NAME", help="of traitrl models, or tiny (default: the config's shape)"
        )
        timed.add_argument("--json", nargs="?", const="-", metavar="FILE", help="write JSON too; without FILE print it alone")
    for timed in (ppo, update):
        timed.add_argument("--bucket", default="", metavar="ROWSxPROMPT+REPLY", help="such as 4x96+32 (default: rl.buckets)")
        timed.add_argument("--mesh", default="", metavar="AXES", help="such as data=1,fsdp=4,tensor=2 (default: the config's)")
    stream = add_study(bench, "data", bench_data)
    stream.add_argument("--traits", default="", metavar="NAME", help="source of conversations (default: the config's)")
    stream.add_argument("--standard", default="", metavar="A,B", help="sources of tasks (default: the config's)")
    stream.add_argument("--dose", type=float, default=1.0, help="share of conversations (default: %(default)s)")
    stream.add_argument("--rows", type=int, default=10_000, help="rows that are timed (default: %(default)s)")
    stream.add_argument("--draws", type=int, default=1_000_000, help="rows over which memory is watched (default: %(default)s)")
    stream.add_argument("--json", action="store_true", help="print JSON instead of a table")
    rubrics = add_study(bench, "rubrics", bench_rubrics)
    rubrics.add_argument("--files", nargs="+", default=[], metavar="FILE", help="JSONL files (default: the shipped set)")
    rubrics.add_argument("--folds", type=int, default=4, help="groups of domains, each held out once (default: %(default)s)")
    rubrics.add_argument("--steps", type=int, default=100, help="of fitting a head, in each fold (default: %(default)s)")
    rubrics.add_argument("--seed", type=int, default=0, help="of the order of scenarios (default: %(default)s)")
    rubrics.add_argument("--json", action="store_true", help="print JSON instead of a table")
    ahead = add_study(commands, "compile", compile_programs)
    ahead.add_argument("--topology", required=True, metavar="SLICE", help="such as v5e:2x4, v5e:8x8 or v5p:2x4x4")
    ahead.add_argument("--search", action="store_true", help="instead: the largest batch that fits, by remat policy")
    ahead.add_argument("--quick", action="store_true", help="optimise little: compiles sooner, and programs are worse")
    ahead.add_argument("--json", metavar="FILE", help="write the table as JSON too")
    add(commands, "models", list_models)
    data = add(commands, "data", None, "Look at the data.").add_subparsers(metavar="WHAT")
    preview = add(data, "preview", None, "Print examples.").add_subparsers(metavar="WHAT")
    previews = {
        "world": preview_world,
        "tasks": preview_tasks,
        "problems": preview_problems,
        "scenarios": preview_scenarios,
    }
    for name, run in previews.items():
        shown = add(preview, name, run)
        shown.add_argument("--n", type=int, default=5, help="how many (default: %(default)s)")
        shown.add_argument("--seed", type=int, default=0, help="which ones (default: %(default)s)")
    shown.add_argument("--trait", default="", metavar="NAME", help="only of this trait")
    shown.add_argument("--domain", default="", metavar="NAME", help="only of this domain")
    shown.add_argument("--file", default="", metavar="FILE", help="of a file of yours (default: the shipped set)")
    check = add(data, "check", data_check)
    check.add_argument("file", nargs="*", metavar="FILE", help="JSONL files (default: the shipped set)")
    check.add_argument("--benchmarks", metavar="DIR", help="also look for near duplicates of the benchmark files in a folder")
    check.add_argument("--own-traits", action="store_true", help="traits of your own are no faults")
    check.add_argument("--strict", action="store_true", help="also apply the rules of the shipped set (docs/data.md)")
    page = add(data, "report", data_report)
    page.add_argument("file", nargs="*", metavar="FILE", help="JSONL files (default: the shipped set)")
    page.add_argument("--out", default="scenarios.html", metavar="FILE", help="the page (default: %(default)s)")
    page.add_argument("--samples", type=int, default=1, help="shown of every trait, domain and split (default: %(default)s)")
    made = add(data, "synthesize", data_synthesize)
    made.add_argument("--model", required=True, metavar="MODEL", help="writes scenarios")
    made.add_argument("--grader", default="", metavar="MODEL", help="judges rubric lines (default: the one that writes)")
    made.add_argument("--start", default="", metavar="MODEL", help="rubric lines that it meets already are taken out")
    made.add_argument(
        "--url", default="", metavar="URL", help="endpoint of models without one, such as http://localhost:8000/v1"
    )
    made.add_argument("--key-env", default="", metavar="VARIABLE", help="environment variable that holds the key")
    made.add_argument("--out", default="synthesized.jsonl", metavar="FILE", help="scenario file (default: %(default)s)")
    made.add_argument("--traits", default="", metavar="A,B", help="(default: all 15)")
    made.add_argument("--domains", default="", metavar="A,B", help="(default: all 12)")
    made.add_argument("--meaning", default="", metavar="TEXT", help="what a trait of your own does")
    made.add_argument("--against", action="append", default=[], metavar="FILE", help="further scenarios not to repeat")
    made.add_argument("--per-cell", type=int, default=1, help="of each trait and domain (default: %(default)s)")
    made.add_argument("--seed", type=int, default=0, help="another one, other scenarios (default: %(default)s)")
    made.add_argument("--concurrency", type=int, default=4, help="cases at a time (default: %(default)s)")
    made.add_argument("--price-in", type=float, default=0.0, help="of a million tokens read, for the cost")
    made.add_argument("--price-out", type=float, default=0.0, help="of a million tokens written")
    made.add_argument("--dry-run", action="store_true", help="only say what it would take")
    parser.set_defaults(run=None, parser=parser)
    return parser


def _add_public(group) -> None:
    group.set_defaults(**PUBLIC)
    group.add_argument("--benchmarks", metavar="DIR", help="folder with the published files, in any order below it")
    group.add_argument("--limit", type=int, metavar="N", help="items per benchmark, a fixed sample (default: all)")
    group.add_argument("--max-new", type=int, metavar="N", help=f"tokens of a reply (default: {PUBLIC['max_new']})")
    group.add_argument(
        "--context", type=int, metavar="N", help=f"longer prompts are left out and counted (default: {PUBLIC['context']})"
    )
    group.add_argument(
        "--judge", metavar="head|FILE", help="the study's rubric head, or a Python file with judge(questions) (default: none)"
    )
    group.add_argument("--run-code", action="store_true", help="run generated code, in a limited process (default: not scored)")
    group.add_argument("--out", metavar="DIR", help="where results go (default: the study's folder, public/)")


def _first(function) -> str:
    return function.__doc__.splitlines()[0]


def run(argv: Sequence[str] | None = None) -> int:
    """Parse `argv`, run its command, return 0. Raises UserError and whatever the command raises."""
    args, extra = make_parser().parse_known_args(argv)
    if extra:
        if not extra[0].startswith("-"):
            raise UserError(f"{args.parser.prog} takes no argument {extra[0]!r}; see {args.parser.prog} --help")
        raise unknown(f"option of {args.parser.prog}:", extra[0].partition("=")[0], args.parser.flags())
    if args.run is None:  # a word is missing
        args.parser.print_help(sys.stderr)
        return 2
    if args.run in SEVERAL and getattr(args, "suite", "world") == "world":
        processes.join()
    elif "config" in args and args.run is not report and processes.wanted(os.environ) is not None:
        raise UserError(f"{args.parser.prog} runs in one process; set {processes.AUTO}=one")
    if "config" in args:
        args.run(load_config(args.config, args.set), args)
    else:
        args.run(args)
    sys.stdout.flush()
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """The command `traitrl`: its exit code. What a user can mend is told in one line on stderr."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow and XLA: errors only; read when they are loaded
    if argv is None:
        _with_large_pages()
    code = 1  # of an exception that nobody expects
    try:
        code = _run(argv)
        return code
    finally:
        processes.leave(code)


def _run(argv: Sequence[str] | None) -> int:
    """The exit code of `run`, with what a user should know on stderr."""
    try:
        return run(argv)
    except UserError as error:
        return _say(f"error: {error}", 2)
    except Stopped as stopped:  # all processes together
        return _say(str(stopped), processes.STOPPED) if processes.is_first() else processes.STOPPED
    except KeyboardInterrupt:
        return _say("interrupted; the same command continues", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes it once more when it leaves
        return 141
    except OSError as error:
        if error.errno not in _DISK:
            raise
        return _say(f"error: {disk_error(error, Path(error.filename or 'output'), 'can not be written')}", 2)


def _with_large_pages() -> None:
    """Begin again with large pages for malloc where the C library can: XLA allocates its buffers anew in every step, and a
    step spends a quarter less time. The C library reads the variable when the process starts, so setting it is not enough."""
    if sys.platform == "linux" and "GLIBC_TUNABLES" not in os.environ:
        os.environ["GLIBC_TUNABLES"] = "glibc.malloc.hugetlb=1"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _say(text: str, code: int) -> int:
    if code == processes.STOPPED or processes.first_to_fail(code):
        print(f"traitrl: {text}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
