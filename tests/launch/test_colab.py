"""launch/colab.ipynb: no outputs are kept, and its cells run in order on a CPU, on the smallest study."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOK = json.loads((ROOT / "launch" / "colab.ipynb").read_text(encoding="utf-8"))
CODE = ["".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
# A stand-in for IPython's display, which writes what a notebook would show.
DISPLAY = """
import sys, types
module = types.ModuleType("IPython.display")
module.HTML = str
module.display = lambda shown: print("SHOWN", shown)
sys.modules["IPython"], sys.modules["IPython.display"] = types.ModuleType("IPython"), module
"""


def test_outputs_are_stripped():
    for cell in NOTEBOOK["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None


def test_cells_are_plain_python_and_move_no_installed_package():
    for source in CODE:
        ast.parse(source)
    text = "\n".join(CODE)
    assert "--constraint" in text
    assert not {"--upgrade", "--force-reinstall", "-U"} & set(text.replace('"', " ").split())


@pytest.mark.slow
def test_the_cells_run_in_order_on_a_cpu(tmp_path):
    script = tmp_path / "cells.py"
    script.write_text("\n\n".join([DISPLAY, *CODE]), encoding="utf-8")
    environment = {
        **os.environ, "JAX_PLATFORMS": "cpu", "TRAITRL_CONFIG": "configs/smoke.py", "TRAITRL_RUNS": str(tmp_path / "runs")
    }  # fmt: skip
    argv = [sys.executable, str(script)]
    made = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=3000)
    assert made.returncode == 0, made.stderr[-3000:]
    added = [line for line in made.stdout.splitlines() if line.startswith("adding ")]
    assert not added, "the test environment has every package"
    assert "(cpu)" in made.stdout and "Left out: on a CPU" in made.stdout
    assert (tmp_path / "runs/smoke/report.html").is_file()
    shown = [line for line in made.stdout.splitlines() if line.startswith("SHOWN <iframe")]
    assert len(shown) == 2
    for words in ("Training reward", "Held-out trait score", "trait-s0"):
        assert words in made.stdout
