"""The command line: which commands there are, their arguments, and what their exit codes mean.

Exit codes: 0 done, 2 the user's mistake, 130 Ctrl-C, 141 nobody reads the output, 143 stopped by a signal with the state saved.
"""

import argparse
import errno
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from traitrl_jax import __version__, commands
from traitrl_jax.config import UserError, checkpoint_config, load_config, unknown
from traitrl_jax.runtime import processes
from traitrl_jax.runtime.checkpoint import Stopped
from traitrl_jax.runtime.files import disk_error

DEFAULT_CONFIG, DEFAULT_STUDY = "configs/quick.py", "runs/quick"
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
SEVERAL = (commands.study, commands.train, commands.evaluate)  # what may run in several processes


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
    top = parser.add_subparsers(metavar="COMMAND")

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

    add_study(top, "study", commands.study)
    add_study(top, "train", commands.train).add_argument("--arm", metavar="NAME", help="only this arm")
    suite = add_study(top, "eval", commands.evaluate)
    suite.add_argument("--subject", metavar="NAME", help="such as trait-s0 (default: all)")
    _add_checkpoint(suite)
    suite.add_argument("--suite", choices=("world", "public"), default="world", help="(default: %(default)s)")
    _add_public(suite.add_argument_group("public benchmarks"))
    against = add(top, "compare", commands.compare)
    against.add_argument("a", metavar="A", help="the side compared with, such as baseline")
    against.add_argument("b", metavar="B", help="the side compared, such as trait")
    against.add_argument(
        "--study", metavar="FOLDER", default=DEFAULT_STUDY, help="where names are looked up (default: %(default)s)"
    )
    against.add_argument("--html", metavar="FILE", help="the page (default: compare/A-B.html in the study's folder)")
    again = add_study(top, "retest", commands.retest)
    again.add_argument("--subject", metavar="NAME", default="start", help="such as trait-s0 (default: %(default)s)")
    over = add(top, "structure", commands.structure)
    over.add_argument(
        "--study", metavar="FOLDER", nargs="+", default=[DEFAULT_STUDY], help="one or more (default: %(default)s)"
    )
    out = add(top, "export", None, "Write weights or results in other formats.").add_subparsers(metavar="WHAT")
    logs = add(out, "inspect", commands.export_inspect)
    logs.add_argument("side", metavar="A", help="a folder of eval records, or a name in the study's folder, such as trait-s0")
    logs.add_argument("--study", metavar="FOLDER", default=DEFAULT_STUDY, help="of the name (default: %(default)s)")
    logs.add_argument("--out", metavar="FOLDER", default="logs", help="where the logs go (default: %(default)s)")
    add_study(top, "report", commands.report)
    talk = add_study(top, "chat", commands.chat)
    talk.add_argument("--subject", metavar="NAME", default="start", help="such as trait-s0 (default: %(default)s)")
    _add_checkpoint(talk)
    talk.add_argument("--system", metavar="TEXT", default="", help="system prompt")
    written = add_study(out, "weights", commands.export_weights)
    written.add_argument("--subject", metavar="NAME", default="start", help="such as trait-s0 (default: %(default)s)")
    written.add_argument("--to", metavar="FOLDER", required=True, help="folder to write")
    bench = add(top, "bench", None, "Measure speed, and what a scenario set can teach a grader.").add_subparsers(metavar="WHAT")
    ppo = add_study(bench, "ppo", commands.bench_ppo)
    ppo.add_argument("--preset", choices=("quick", "peer"), default="quick", help="shapes: of the config, or fixed ones")
    ppo.add_argument("--steps", type=int, default=5, help="that are timed (default: %(default)s)")
    grading = add_study(bench, "grading", commands.bench_grading)
    grading.add_argument("--tokens", type=int, default=1024, help="of a conversation and its reply (default: %(default)s)")
    grading.add_argument("--criteria", type=int, default=8, help="of a rubric (default: %(default)s)")
    grading.add_argument("--rows", type=int, default=4, help="conversations in a call (default: %(default)s)")
    grading.add_argument("--repeats", type=int, default=5, help="that are timed (default: %(default)s)")
    update = add_study(bench, "update", commands.bench_update)
    update.add_argument("--steps", type=int, default=1, help="that are timed (default: %(default)s)")
    for timed in (ppo, grading, update):
        timed.add_argument(
            "--model", default="", metavar="NAME", help="of traitrl models, or tiny (default: the config's shape)"
        )
        timed.add_argument("--json", nargs="?", const="-", metavar="FILE", help="write JSON too; without FILE print it alone")
    for timed in (ppo, update):
        timed.add_argument("--bucket", default="", metavar="ROWSxPROMPT+REPLY", help="such as 4x96+32 (default: rl.buckets)")
        timed.add_argument("--mesh", default="", metavar="AXES", help="such as data=1,fsdp=4,tensor=2 (default: the config's)")
    stream = add_study(bench, "data", commands.bench_data)
    stream.add_argument("--traits", default="", metavar="NAME", help="source of conversations (default: the config's)")
    stream.add_argument("--standard", default="", metavar="A,B", help="sources of tasks (default: the config's)")
    stream.add_argument("--dose", type=float, default=1.0, help="share of conversations (default: %(default)s)")
    stream.add_argument("--rows", type=int, default=10_000, help="rows that are timed (default: %(default)s)")
    stream.add_argument("--draws", type=int, default=1_000_000, help="rows over which memory is watched (default: %(default)s)")
    stream.add_argument("--json", action="store_true", help="print JSON instead of a table")
    rubrics = add_study(bench, "rubrics", commands.bench_rubrics)
    rubrics.add_argument("--files", nargs="+", default=[], metavar="FILE", help="JSONL files (default: the shipped set)")
    rubrics.add_argument("--folds", type=int, default=4, help="groups of domains, each held out once (default: %(default)s)")
    rubrics.add_argument("--steps", type=int, default=100, help="of fitting a head, in each fold (default: %(default)s)")
    rubrics.add_argument("--seed", type=int, default=0, help="of the order of scenarios (default: %(default)s)")
    rubrics.add_argument("--json", action="store_true", help="print JSON instead of a table")
    ahead = add_study(top, "compile", commands.compile_programs)
    ahead.add_argument("--topology", required=True, metavar="SLICE", help="such as v5e:2x4, v5e:8x8 or v5p:2x4x4")
    ahead.add_argument("--search", action="store_true", help="instead: the largest batch that fits, by remat policy")
    ahead.add_argument("--quick", action="store_true", help="optimise little: compiles sooner, and programs are worse")
    ahead.add_argument("--json", metavar="FILE", help="write the table as JSON too")
    add(top, "models", commands.list_models)
    data = add(top, "data", None, "Look at the data.").add_subparsers(metavar="WHAT")
    preview = add(data, "preview", None, "Print examples.").add_subparsers(metavar="WHAT")
    previews = {
        "world": commands.preview_world,
        "tasks": commands.preview_tasks,
        "problems": commands.preview_problems,
        "scenarios": commands.preview_scenarios,
    }
    for name, run in previews.items():
        shown = add(preview, name, run)
        shown.add_argument("--n", type=int, default=5, help="how many (default: %(default)s)")
        shown.add_argument("--seed", type=int, default=0, help="which ones (default: %(default)s)")
    shown.add_argument("--trait", default="", metavar="NAME", help="only of this trait")
    shown.add_argument("--domain", default="", metavar="NAME", help="only of this domain")
    shown.add_argument("--file", default="", metavar="FILE", help="of a file of yours (default: the shipped set)")
    check = add(data, "check", commands.data_check)
    check.add_argument("file", nargs="*", metavar="FILE", help="JSONL files (default: the shipped set)")
    check.add_argument("--benchmarks", metavar="DIR", help="also look for near duplicates of the benchmark files in a folder")
    check.add_argument("--own-traits", action="store_true", help="traits of your own are no faults")
    check.add_argument("--strict", action="store_true", help="also apply the rules of the shipped set (docs/data.md)")
    page = add(data, "report", commands.data_report)
    page.add_argument("file", nargs="*", metavar="FILE", help="JSONL files (default: the shipped set)")
    page.add_argument("--out", default="scenarios.html", metavar="FILE", help="the page (default: %(default)s)")
    page.add_argument("--samples", type=int, default=1, help="shown of every trait, domain and split (default: %(default)s)")
    made = add(data, "synthesize", commands.data_synthesize)
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


def _add_checkpoint(command: Parser) -> None:
    command.add_argument("--checkpoint", metavar="DIR", help="a downloaded or exported checkpoint, in place of a study")


def _add_public(group) -> None:
    group.set_defaults(**commands.PUBLIC)
    group.add_argument("--benchmarks", metavar="DIR", help="folder with the published files, in any order below it")
    group.add_argument("--limit", type=int, metavar="N", help="items per benchmark, a fixed sample (default: all)")
    group.add_argument("--max-new", type=int, metavar="N", help=f"tokens of a reply (default: {commands.PUBLIC['max_new']})")
    group.add_argument(
        "--context",
        type=int,
        metavar="N",
        help=f"longer prompts are left out and counted (default: {commands.PUBLIC['context']})",
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
    if args.run in SEVERAL:
        processes.join()
    elif "config" in args and args.run is not commands.report and processes.wanted(os.environ) is not None:
        raise UserError(f"{args.parser.prog} runs in one process; set {processes.AUTO}=one")
    if getattr(args, "checkpoint", None):
        if args.config != DEFAULT_CONFIG:
            raise UserError("--checkpoint and --config: give one; a config names its checkpoint in `pretrained`")
        args.run(checkpoint_config(args.checkpoint, args.set), args)
    elif "config" in args:
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
