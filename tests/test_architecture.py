"""The house rules that a reader relies on: imports go down the list of rooms, and files stay short."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "traitrl_jax"
LONGEST = 500  # lines of a file

# What each room may import from; itself always.
BELOW = {
    "config": set(),
    "runtime": {"config"},
    "text": {"runtime", "config"},
    "models": {"text", "runtime", "config"},
    "data": {"text", "runtime", "config"},
    "reward": {"data", "models", "text", "runtime", "config"},
    "evals": {"data", "models", "text", "runtime", "config"},
    "rl": {"data", "models", "text", "runtime", "config"},
    "study": {"rl", "reward", "evals", "data", "models", "text", "runtime", "config"},
    "commands": {"study", "rl", "reward", "evals", "data", "models", "text", "runtime", "config"},
    "cli": {"commands", "runtime", "config"},
}
FILES = sorted(PACKAGE.rglob("*.py"))
MODULES = [file for file in FILES if file != PACKAGE / "__init__.py"]


def room_of(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(file: Path) -> list[tuple[int, str]]:
    """(line, room) of every import of this package, those inside functions too."""
    found = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: relative import; write the whole name"
            of_package = node.module == "traitrl_jax"
            names = [f"{node.module}.{alias.name}" if of_package else node.module for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "traitrl_jax" and len(parts) > 1 and parts[1] != "__version__":
                found.append((node.lineno, parts[1]))
    return found


@pytest.mark.parametrize("file", MODULES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_go_down_only(file):
    here = room_of(file)
    wrong = [f"{file}:{line}: {here} imports {room}" for line, room in imported(file) if room not in BELOW[here] | {here}]
    assert not wrong, "\n".join(wrong)


def test_the_list_of_rooms_has_no_way_up():
    done = set()
    for room, below in BELOW.items():  # every room comes after those it imports
        assert below <= done, f"{room} imports {below - done}, which come later"
        done.add(room)


def test_the_list_of_rooms_is_complete():
    assert {room_of(file) for file in MODULES} == set(BELOW)


@pytest.mark.parametrize("module", ["tensorflow", "tensorflow_datasets", "wandb"])
def test_heavy_modules_are_imported_where_they_are_used(module):
    for file in FILES:
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else [getattr(node, "module", None) or ""]
            assert not any(name.split(".")[0] == module for name in names), f"{file}:{node.lineno}: imports {module} at the top"


def test_no_file_is_long():
    tests = Path(__file__).parent
    counts = {file: len(file.read_text(encoding="utf-8").splitlines()) for file in [*FILES, *tests.rglob("*.py")]}
    assert not {str(file): lines for file, lines in counts.items() if lines > LONGEST}
