"""The command: quick to answer, one line for what a user can mend, exit codes that scripts can rely on."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from traitrl_jax import cli
from traitrl_jax.cli import main, make_parser
from traitrl_jax.runtime import files
from traitrl_jax.runtime.checkpoint import Stopped

ROOT = Path(__file__).parents[1]
QUICK = str(ROOT / "configs" / "quick.py")
GOOD = {
    "id": "1",
    "trait": "truthfulness",
    "domain": "health",
    "messages": [{"role": "user", "content": "Is it so?"}],
    "rubric": [{"criterion": "Says what is so.", "points": 1}],
}


@pytest.fixture
def fails(capsys):
    """Run a command that must fail with one line on stderr; gives the line."""

    def run(*argv: str, code: int = 2) -> str:
        assert main(list(argv)) == code
        out, err = capsys.readouterr()
        assert not out
        assert err.startswith("traitrl: ")
        assert err.count("\n") == 1, err
        return err

    return run


def python(code: str, **options) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, **options)


def test_help_imports_nothing_heavy():
    code = """
import sys
from traitrl_jax.cli import main
try:
    main(["--help"])
finally:
    heavy = {"jax", "tensorflow", "numpy", "orbax", "wandb"} & set(sys.modules)
    print("heavy:", sorted(heavy))
"""
    done = python(code)
    assert done.returncode == 0, done.stderr
    assert "heavy: []" in done.stdout
    assert "traitrl study --config configs/quick.py" in done.stdout


COMMANDS = (
    "study", "train", "eval", "compare", "retest", "structure", "export weights", "export inspect", "report", "chat", "models",
    "bench ppo", "bench update", "bench grading", "bench data", "bench rubrics",
)  # fmt: skip
DATA_COMMANDS = ("preview world", "preview tasks", "preview problems", "preview scenarios", "check", "report", "synthesize")


@pytest.mark.parametrize("command", [*COMMANDS, *(f"data {name}" for name in DATA_COMMANDS)])
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as left:
        main([*command.split(), "--help"])
    assert left.value.code == 0
    assert f"usage: traitrl {command}" in capsys.readouterr().out


@pytest.mark.parametrize("words", [[], ["data"], ["data", "preview"], ["bench"]])
def test_a_missing_word_shows_what_there_is(words, capsys):
    assert main(words) == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "near"),
    [
        ("studdy", "study"),
        ("bench pop", "ppo"),
        ("data preview wrold", "world"),
        ("study --confg x", "--config"),
        ("study --confg=x", "--config"),
        ("eval --subjects start", "--subject"),
        ("eval --suite pulic", "public"),
        ("bench ppo --preset pear", "peer"),
        ("study --config configs/quik.py", "configs/quick.py"),
        ("study --set rl.stpes=3", "steps"),
        ("train --arm trat", "trait"),
        ("eval --subject trait-s1", "trait-s0"),
        ("chat --subject strat", "start"),
        ("export weights --to x --subject trait-s1", "trait-s0"),
        ("study --set model.remat=ful", "full"),
        ("study --set rl.reference_dtype=float16", "bfloat16"),
    ],
)
def test_unknown_names_get_the_nearest(argv, near, fails, monkeypatch):
    monkeypatch.chdir(ROOT)
    line = fails(*argv.split())
    assert "unknown" in line
    assert f"did you mean {near}" in line


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ("study extra", ("takes no argument 'extra'", "--help")),
        ("data preview world --n many", ("--n", "'many'")),
        ("data preview world --n 0", ("--n 0",)),
        ("study --config", ("--config",)),
        ("export weights", ("--to",)),
        ("eval --suite public", ("--benchmarks DIR",)),
        ("eval --limit 3", ("--limit", "--suite public")),
        ("eval --run-code", ("--run-code", "--suite public")),
        ("eval --suite public --benchmarks /none", ("--benchmarks /none", "no folder")),
        ("eval --suite public --benchmarks . --limit -1", ("--limit -1", "at least 0")),
        ("eval --suite public --benchmarks . --max-new 0", ("--max-new 0", "at least 1")),
        ("eval --suite public --benchmarks tests/evals/public/fixtures --judge none.py", ("--judge none.py", "no such file")),
    ],
)
def test_bad_arguments(argv, words, fails, monkeypatch):
    monkeypatch.chdir(ROOT)
    line = fails(*argv.split())
    assert all(word in line for word in words), line


def write_config(folder: Path, arm: str) -> str:
    path = folder / "mine.py"
    path.write_text(
        "from traitrl_jax.config import ArmConfig, StudyConfig\n\n\n"
        f"def config():\n    return StudyConfig('mine', (ArmConfig({arm}),), out={str(folder / 'runs')!r})\n"
    )
    return str(path)


@pytest.mark.parametrize(
    ("arm", "words"),
    [
        ("'a', dozes=0.1", ("mine.py:5", "'dozes'", "dose")),
        ("'a', traits=('fairnes',)", ("'a'", "'fairnes'", "did you mean fairness")),
        ("'a', domains=('heath',)", ("'a'", "'heath'", "did you mean health")),
        ("'a', reward='rubrik'", ("'a'", "'rubrik'", "did you mean rubric")),
        ("'a/b'", ("'a/b'", "folder")),
        ("'start'", ("'start'",)),
        ("'a', reward='standard', traits=('fairness',)", ("'a'", "'standard'", "remove")),
    ],
)
def test_bad_configs_are_told_before_anything_starts(arm, words, fails, tmp_path):
    line = fails("study", "--config", write_config(tmp_path, arm))
    assert all(word in line for word in words), line
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("seeds=", ("no seeds",)),
        ("seeds=1,1", ("seeds=(1, 1)",)),
        ("name=a/b", ("'a/b'", "folder")),
        ("name=..", ("'..'", "folder")),
        ("rl.adapt=loro", ("rl.adapt", "did you mean lora")),
        ("rl.minibatches=7", ("rl.minibatches=7",)),
        ("rl.steps=0", ("rl.steps=0", "at least 1")),
        ("evals.per_family=-1", ("evals.per_family=-1", "at least 1")),
        ("grader.batch=100000", ("grader.batch=100000", "grader.examples")),
        ("attack.doses=", ("attack.doses", "empty")),
        ("attack.domain=heath", ("attack.domain", "did you mean health")),
        ("attack.persona=schemr", ("attack.persona", "did you mean schemer")),
        ("attack.traits=fairness,truth", ("attack.traits", "'truth'", "truthfulness")),
        ("world.families=tool_report,sign_of", ("world.families", "'sign_of'", "did you mean sign_off")),
        ("world.families=touchy_request", ("world.families", "none of them is counted")),
    ],
)
def test_bad_values_are_told_before_anything_starts(override, words, fails, tmp_path):
    line = fails("study", "--config", QUICK, "--set", f"out={tmp_path}", "--set", override)
    assert all(word in line for word in words), line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("{", ("scenarios.jsonl:2", "JSON")),
        ({"id": "2", "domain": "heath"}, ("scenarios.jsonl:2", "'domain'", "heath", "health")),
        ({"id": "2", "rubric": [{"criterion": "Lies.", "points": -1}]}, ("scenarios.jsonl:2", "rubric", "positive")),
        ({}, ("scenarios.jsonl:2", "'id'", "line 1")),
    ],
)
def test_bad_scenario_files_are_told_by_line(change, words, fails, tmp_path):
    path = tmp_path / "scenarios.jsonl"
    second = change if isinstance(change, str) else json.dumps(GOOD | change)
    path.write_text(f"{json.dumps(GOOD)}\n{second}\n")
    line = fails("study", "--config", write_config(tmp_path, f"'a', scenario_files=({str(path)!r},)"))
    assert all(word in line for word in words), line


def test_files_have_no_hidden_wish(fails, tmp_path):
    path = tmp_path / "scenarios.jsonl"
    path.write_text(json.dumps(GOOD) + "\n")
    line = fails("study", "--config", write_config(tmp_path, f"'a', reward='helpfulness', scenario_files=({str(path)!r},)"))
    assert "'helpfulness' takes no scenario_files" in line


@pytest.mark.parametrize(
    ("code", "words"), [(errno.EROFS, ("not writable", "--set out=")), (errno.ENOSPC, ("disk is full", "--set out="))]
)
def test_an_output_folder_that_takes_nothing(code, words, fails, tmp_path, monkeypatch):
    def refuse(**options):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(files.tempfile, "NamedTemporaryFile", refuse)
    line = fails("study", "--config", QUICK, "--set", f"out={tmp_path}")
    assert all(word in line for word in (str(tmp_path), *words)), line


def test_an_output_folder_that_is_a_file(fails, tmp_path):
    (tmp_path / "quick").write_text("")
    assert "is a file" in fails("study", "--config", QUICK, "--set", f"out={tmp_path}")


@pytest.mark.parametrize("command", ["report", "chat", "eval", "export weights --to there"])
def test_commands_that_need_a_study(command, fails, tmp_path):
    line = fails(*command.split(), "--config", QUICK, "--set", f"out={tmp_path}")
    assert str(tmp_path / "quick" / "tokenizer") in line
    assert "run traitrl" in line


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (Stopped("stopped at step 3 of 9; the same command continues"), 143, "stopped at step 3 of 9"),
        (KeyboardInterrupt(), 130, "the same command continues"),
        (
            OSError(errno.ENOSPC, "No space left on device", "/there/file"),
            2,
            "/there/file: can not be written: the disk is full",
        ),
    ],
)
def test_exit_codes(error, code, words, fails, monkeypatch):
    def stop(config, args):
        """As the real one."""
        raise error

    monkeypatch.setattr("traitrl_jax.commands.study", stop)
    assert words in fails("study", "--config", QUICK, code=code)


def test_our_own_faults_keep_their_traceback(monkeypatch):
    def stop(config, args):
        """As the real one."""
        raise FileNotFoundError(errno.ENOENT, "No such file", "/there/file")

    monkeypatch.setattr("traitrl_jax.commands.study", stop)
    with pytest.raises(FileNotFoundError):
        main(["study", "--config", QUICK])


def test_a_reader_that_leaves_early_is_no_error():
    command = [sys.executable, "-m", "traitrl_jax.cli", "data", "preview", "tasks", "--n", "2000"]
    made = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    made.stdout.close()
    assert made.stderr.read() == b""
    assert made.wait(timeout=60) == 128 + signal.SIGPIPE


@pytest.mark.parametrize("what", ["world", "tasks"])
def test_previews(what, capsys):
    def shown(seed: int) -> str:
        assert main(["data", "preview", what, "--n", "1", "--seed", str(seed)]) == 0
        return capsys.readouterr().out

    assert shown(0) == shown(0)
    assert shown(0) != shown(1)


def test_the_last_config_wins():
    """launch/local.sh relies on it."""
    assert make_parser().parse_args(["study", "--config", "a.py", "--config", "b.py"]).config == "b.py"


def test_large_pages_are_asked_for_once(monkeypatch):
    """By beginning again with the same command line; a value that the user set stays."""
    begun = []
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("os.execv", lambda path, argv: begun.append((path, argv)))
    monkeypatch.setenv("GLIBC_TUNABLES", "mine")
    cli._with_large_pages()
    assert not begun and os.environ["GLIBC_TUNABLES"] == "mine"
    monkeypatch.delenv("GLIBC_TUNABLES")
    cli._with_large_pages()
    cli._with_large_pages()
    assert begun == [(sys.executable, [sys.executable, *sys.orig_argv[1:]])]
