"""launch/tpu_vm.sh against a stand-in for gcloud that records its calls; nothing here reaches a cloud."""

import os
import shlex
import shutil
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "launch" / "tpu_vm.sh"
VM = ("--name", "t", "--zone", "z", "--type", "v5litepod-16", "--out", "gs://b/runs")
STUDY = ("--", "--config", "configs/smoke.py", "--set", "name=a b")
DONE = "the last line\n\nexit 0\n"


@pytest.fixture
def cloud(tmp_path):
    """Run the script with the stand-in on PATH. `logs`: what the looks at the study's log find, one after the other."""
    place = tmp_path / "cloud"
    place.mkdir()
    shutil.copy(Path(__file__).with_name("gcloud"), tmp_path / "gcloud")

    def run(*argv: str, logs: tuple[str, ...] = (DONE,)) -> subprocess.CompletedProcess:
        for number, text in enumerate(logs, 1):
            (place / f"log.{number}").write_text(text)
        (place / "looks").write_text("0")
        environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "CLOUD": str(place), "TRAITRL_POLL": "0"}
        return subprocess.run([str(SCRIPT), *argv], env=environment, capture_output=True, text=True, timeout=120, cwd=tmp_path)

    def calls() -> list[str]:
        """The calls so far, each cut to its verb and what tells it apart."""
        found = (place / "calls").read_text().splitlines() if (place / "calls").is_file() else []
        return [short(call) for call in found]

    run.calls, run.place = calls, place
    return run


def short(call: str) -> str:
    words = call.replace("compute tpus ", "").split()
    kind = " ".join(words[:2])
    if "--command=" not in call:
        return kind
    for part, name in (("setup.sh", "setup"), ("nohup", "run"), ("tail", "look")):
        if part in call:
            return f"{kind} {name}"
    return kind


def commands(calls: list[str]) -> list[str]:
    """What --command holds, of the calls that have one."""
    words = [word for call in calls for word in shlex.split(call)]
    return [word.removeprefix("--command=") for word in words if word.startswith("--command=")]


WHOLE = ["tpu-vm describe", "tpu-vm create", "tpu-vm scp", "tpu-vm ssh setup", "tpu-vm ssh run", "tpu-vm describe",
         "tpu-vm ssh look", "storage rsync", "tpu-vm delete"]  # fmt: skip


def test_from_nothing_to_results_and_nothing(cloud):
    made = cloud("go", *VM, *STUDY)
    assert made.returncode == 0, made.stderr
    assert cloud.calls() == WHOLE
    assert "the last line" in made.stdout
    calls = (cloud.place / "calls").read_text()
    assert "create t --accelerator-type=v5litepod-16 --version=v2-alpha-tpuv5-lite --zone=z\n" in calls
    assert not (cloud.place / "state").exists(), "the VM is deleted"
    with tarfile.open(cloud.place / "bundle.tar.gz") as bundle:
        names = bundle.getnames()
    assert {"launch/tpu_vm.sh", "setup.py", "traitrl_jax/study/run.py"} <= set(names)


def test_every_worker_gets_the_same_quoted_command(cloud):
    assert cloud("run", *VM, *STUDY).returncode == 0
    (call,) = (cloud.place / "calls").read_text().splitlines()
    (command,) = commands([call])
    assert "--worker=all" in call and "TRAITRL_PROCESSES=auto" in command
    assert (
        "launch/tpu_vm.sh worker -- --config configs/smoke.py --set name=a\\ b --set out=gs://b/runs >>../traitrl.log"
        in command
    )
    assert subprocess.run(["bash", "-n", "-c", command]).returncode == 0


def test_dry_run_prints_every_call_and_makes_none(cloud):
    made = cloud("go", *VM, "--dry-run", *STUDY)
    assert made.returncode == 0, made.stderr
    printed = [line for line in made.stderr.splitlines() if line.startswith("gcloud ")]
    assert [short(line.removeprefix("gcloud ")) for line in printed] == WHOLE
    assert cloud.calls() == []


def test_a_preempted_vm_is_made_anew_and_the_same_command_continues(cloud):
    made = cloud("go", *VM, "--spot", *STUDY, logs=("step 1\n\nexit\n", "preempted", "step 2\n\nexit 0\n"))
    assert made.returncode == 0, made.stderr
    again = ["tpu-vm describe", "tpu-vm delete", *WHOLE[1:]]
    begun = ["tpu-vm describe", "tpu-vm ssh look"]
    assert cloud.calls() == [*WHOLE[:5], *begun, *begun, "tpu-vm describe", *again]
    assert made.stdout.split("\n")[:2] == ["step 1", "step 2"]
    assert "the VM is PREEMPTED" in made.stderr
    commands = [line for line in (cloud.place / "calls").read_text().splitlines() if "nohup" in line]
    assert len(commands) == 2 and commands[0] == commands[1]
    creates = [line for line in (cloud.place / "calls").read_text().splitlines() if "tpu-vm create" in line]
    assert len(creates) == 2 and all("--spot" in line for line in creates)


def test_a_study_that_was_stopped_runs_again_on_the_same_vm(cloud):
    made = cloud("go", *VM, *STUDY, logs=("stopped at step 3\n\nexit 143\n", DONE))
    assert made.returncode == 0, made.stderr
    assert cloud.calls() == [*WHOLE[:7], "tpu-vm ssh run", *WHOLE[5:]]


def test_a_study_that_fails_ends_with_its_code_and_leaves_the_vm(cloud):
    made = cloud("go", *VM, *STUDY, logs=("traitrl: error: no\n\nexit 2\n",))
    assert made.returncode == 2
    assert "traitrl: error: no" in made.stdout and "still runs and costs" in made.stderr
    assert "tpu-vm delete" not in cloud.calls()


def test_queued_resources(cloud):
    made = cloud("go", *VM, "--queued", "--spot", "--project", "p", "--keep", *STUDY)
    assert made.returncode == 0, made.stderr
    assert cloud.calls()[:3] == ["tpu-vm describe", "queued-resources create", "queued-resources describe"]
    calls = (cloud.place / "calls").read_text().splitlines()
    assert all("--project=p" in call for call in calls if call.startswith("compute"))
    assert "create t --node-id=t --accelerator-type=v5litepod-16 --runtime-version=v2-alpha-tpuv5-lite --spot" in calls[1]
    assert "delete" not in "".join(cloud.calls()) and "still runs and costs" in made.stderr
    assert cloud("delete", *VM, "--queued").returncode == 0
    assert (cloud.place / "calls").read_text().splitlines()[-1].startswith("compute tpus queued-resources delete t --force")


def test_a_queued_vm_that_is_gone_gives_up_its_place_in_line_first(cloud):
    made = cloud("go", *VM, "--queued", "--spot", *STUDY, logs=("gone", DONE))
    assert made.returncode == 0, made.stderr
    assert "the VM is ABSENT" in made.stderr
    calls = [call for call in cloud.calls() if call.startswith("queued")]
    assert calls == [f"queued-resources {verb}" for verb in ("create", "describe", "delete", "create", "describe", "delete")]


def test_weights_are_copied_to_every_worker(cloud):
    assert cloud("setup", *VM, "--copy", "gs://b/gemma:checkpoints/gemma").returncode == 0
    assert "gcloud\\ storage\\ rsync\\ --recursive\\ gs://b/gemma\\ checkpoints/gemma" in (cloud.place / "calls").read_text()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("fly",), "unknown command fly"),
        (("go", "--zone", "z"), "--name is missing"),
        (("go", "--name", "t"), "--zone is missing"),
        (("go", "--name", "t", "--zone", "z"), "--type is missing"),
        (("go", "--name", "t", "--zone", "z", "--type", "v9-8"), "no runtime version is known for --type v9-8"),
        (("go", "--name", "t", "--zone", "z", "--spot", "--type", "v6e-8"), "--spot needs --out gs://"),
        (("go", "--nam", "t"), "unknown option --nam"),
        (("go", "--name"), "--name needs a value"),
        (("setup", *VM, "--copy", "gemma"), "write it as gs://"),
    ],
)
def test_mistakes_are_told_before_any_call(cloud, argv, message):
    made = cloud(*argv)
    assert made.returncode == 2 and message in made.stderr
    assert cloud.calls() == []


def test_help_names_every_command():
    made = subprocess.run([str(SCRIPT), "--help"], capture_output=True, text=True)
    assert made.returncode == 0
    for word in ("create", "setup", "run", "follow", "status", "fetch", "delete", "worker", "--dry-run"):
        assert f"    {word} " in made.stdout


def test_the_workers_command_runs_and_its_end_is_seen(cloud, tmp_path):
    """The commands that are sent, as a worker runs them: in the background, once, and the exit code is found at the end."""
    home = tmp_path / "home"
    (home / "traitrl_jax" / "launch").mkdir(parents=True)
    (home / "traitrl_jax" / ".venv" / "bin").mkdir(parents=True)
    shutil.copy(SCRIPT, home / "traitrl_jax" / "launch")
    child = home / "traitrl_jax" / ".venv" / "bin" / "traitrl"
    child.write_text(
        "#!/usr/bin/env bash\necho begun $TRAITRL_PROCESSES\nwhile [[ ! -e ../enough ]]; do sleep .1; done\nexit 143\n"
    )
    child.chmod(0o755)
    assert cloud("run", *VM, *STUDY).returncode == 0 and cloud("status", *VM).returncode == 0
    calls = (cloud.place / "calls").read_text().splitlines()
    printed = [
        subprocess.run(["bash", "-c", f"printf '%s\\n' {call}"], capture_output=True, text=True).stdout for call in calls
    ]
    run, look = (
        next(line.removeprefix("--command=") for line in text.splitlines() if line.startswith("--command="))
        for text in printed
        if "--command=" in text
    )

    def there(command: str) -> str:
        return subprocess.run(["bash", "-c", command], cwd=home, capture_output=True, text=True, timeout=60, check=True).stdout

    there(run)
    there(run)  # a second one does not begin
    assert there(look) == "begun auto\n\nexit\n"
    (home / "enough").touch()
    limit = time.monotonic() + 60
    while there(look) != "begun auto\n\nexit 143\n":
        assert time.monotonic() < limit
    (home / "traitrl.exit").unlink()  # the machine went down with the study
    assert there(look) == "begun auto\n\nexit 143\n"


def test_a_worker_passes_signals_on_and_leaves_the_exit_code(tmp_path):
    child = tmp_path / "traitrl"
    child.write_text("#!/usr/bin/env bash\necho \"$@\"\ntrap 'exit 143' TERM\nsleep 60 & wait\n")
    child.chmod(0o755)
    environment = {**os.environ, "TRAITRL": str(child), "TRAITRL_EXIT": str(tmp_path / "exit")}
    argv = [str(SCRIPT), "worker", "--", "--config", "a b"]
    with subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout.readline() == "study --config a b\n"
        worker.terminate()
        assert worker.wait(timeout=60) == 143
    assert (tmp_path / "exit").read_text() == "143\n"
