"""Configs: every field matters, overrides and files are checked, fingerprints last."""

import ast
import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from traitrl_jax import config as module
from traitrl_jax.config import ArmConfig, StudyConfig, UserError, fingerprint, load_config

ROOT = Path(__file__).parents[1]
CONFIGS = sorted((ROOT / "configs").glob("*.py"))
CLASSES = [c for c in vars(module).values() if isinstance(c, type) and dataclasses.is_dataclass(c)]


class Types:
    """Which config fields the package reads, found by following annotations: of parameters, of class attributes, and of what is
    assigned from or iterated over a thing whose type is known. A type is a class name; a tuple of records is `*Name`."""

    def __init__(self, declaring: list[ast.Module], reading: list[ast.Module]):
        self.reads: set[tuple[str, str]] = set()
        self.fields: dict[str, dict[str, str]] = {}
        classes = [node for tree in declaring for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
        for node in classes:
            annotated = [item for item in node.body if isinstance(item, ast.AnnAssign)]
            self.fields[node.name] = {item.target.id: self._name(item.annotation) for item in annotated}
        for node in classes:  # self.x = <parameter>
            for item in node.body:
                if isinstance(item, ast.FunctionDef) and item.name == "__init__":
                    self._function(item, {"self": node.name})
        self.reads.clear()
        for tree in reading:
            self._block(tree.body, {})

    def _name(self, annotation: ast.expr | None) -> str:
        """RLConfig, "RLConfig", RLConfig | None -> RLConfig; tuple[Bucket, ...] and Sequence[Bucket] -> *Bucket."""
        if isinstance(annotation, ast.Name):
            return annotation.id
        if isinstance(annotation, ast.BinOp):
            return self._name(annotation.left)
        if isinstance(annotation, ast.Subscript):
            item = annotation.slice.elts[0] if isinstance(annotation.slice, ast.Tuple) else annotation.slice
            return f"*{self._name(item)}"
        return ""

    def _block(self, body: list[ast.stmt], names: dict[str, str], owner: str = "") -> None:
        for node in body:
            if isinstance(node, ast.ClassDef):
                self._block(node.body, names, node.name)
            elif isinstance(node, ast.FunctionDef):
                self._function(node, {**names, **({"self": owner} if owner else {})})
            else:
                self._statement(node, names)

    def _function(self, node: ast.FunctionDef | ast.Lambda, names: dict[str, str]) -> None:
        for argument in (*node.args.args, *node.args.kwonlyargs):
            if argument.arg != "self":
                names[argument.arg] = self._name(argument.annotation)
        if isinstance(node, ast.Lambda):
            self._walk(node.body, names)
        else:
            self._block(node.body, names)

    def _statement(self, node: ast.stmt, names: dict[str, str]) -> None:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                self._bind(target, node.value, names)
        elif isinstance(node, ast.For):
            self._bind(node.target, node.iter, names, item=True)
        for _, value in ast.iter_fields(node):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.stmt):
                    self._block([child], names)
                elif isinstance(child, (ast.ExceptHandler, ast.match_case)):
                    self._block(child.body, names)
                elif isinstance(child, ast.AST):
                    self._walk(child, names)

    def _bind(self, target: ast.expr, value: ast.expr, names: dict[str, str], item: bool = False) -> None:
        """Give `target` the type of `value`, or of an item of it; tuples and zip() by position."""
        if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "reversed":
            value = value.args[0]
        if isinstance(target, ast.Tuple):
            parts = value.elts if isinstance(value, ast.Tuple) else []
            if item and isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "zip":
                parts = value.args
            for each, part in zip(target.elts, parts, strict=False):
                self._bind(each, part, names, item)
            return
        kind = self._type(value, names)
        kind = (kind[1:] if kind.startswith("*") else "") if item else kind
        if isinstance(target, ast.Name):
            names[target.id] = kind
        elif isinstance(target, ast.Attribute) and kind and (owner := self._type(target.value, names)):
            self.fields.setdefault(owner, {}).setdefault(target.attr, kind)

    def _walk(self, node: ast.AST, names: dict[str, str]) -> None:
        """Note every read in an expression."""
        if isinstance(node, (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)):
            names = dict(names)
            for part in node.generators:
                self._bind(part.target, part.iter, names, item=True)
        if isinstance(node, ast.Lambda):
            self._function(node, dict(names))
            return
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            owner = self._type(node.value, names)
            if owner:
                self.reads.add((owner, node.attr))
        for child in ast.iter_child_nodes(node):
            self._walk(child, names)

    def _type(self, node: ast.expr, names: dict[str, str]) -> str:
        if isinstance(node, ast.Name):
            return names.get(node.id, "")
        if isinstance(node, ast.Attribute):
            return self.fields.get(self._type(node.value, names), {}).get(node.attr, "")
        if isinstance(node, ast.Subscript):
            return self._type(node.value, names).removeprefix("*")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in self.fields:
            return node.func.id
        return ""


def test_every_field_is_read_somewhere():
    package = ROOT / "traitrl_jax"
    trees = {file: ast.parse(file.read_text(encoding="utf-8")) for file in sorted(package.rglob("*.py"))}
    types = Types(list(trees.values()), [tree for file, tree in trees.items() if file != package / "config.py"])
    unread = [
        f"{c.__name__}.{f.name}" for c in CLASSES for f in dataclasses.fields(c) if (c.__name__, f.name) not in types.reads
    ]
    assert not unread, f"no code reads {', '.join(unread)}"


def test_the_search_for_reads_can_fail():
    source = """
class Config:
    read: int
    written: int
    unread: int
def use(config: Config, other: Thing):
    config.written = 1
    return config.read + other.unread
"""
    tree = ast.parse(source)
    found = {name for owner, name in Types([tree], [tree]).reads if owner == "Config"}
    assert found == {"read"}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_shipped_configs_load_and_say_how_they_are_run(path):
    config = load_config(str(path))
    assert config.name == path.stem
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert f"traitrl study --config configs/{path.name}" in text
    assert "Hardware:" in text


def write(folder: Path, body: str) -> str:
    """A config file whose config() runs `body`."""
    path = folder / "mine.py"
    path.write_text(f"from traitrl_jax.config import *\n\n\ndef config():\n    {body}\n", encoding="utf-8")
    return str(path)


def test_overrides_reach_every_kind_of_field(tmp_path):
    path = write(tmp_path, "return StudyConfig('x', (ArmConfig('a'),))")
    sets = ["rl.lr=1e-5", "rl.steps=7", "rl.decay=true", "rl.adapt=lora", "seeds=3,4", "attack.traits=fairness", "name=y=z"]
    made = load_config(path, sets)
    assert (made.rl.lr, made.rl.steps, made.rl.decay, made.rl.adapt) == (1e-5, 7, True, "lora")
    assert (made.seeds, made.attack.traits, made.name) == ((3, 4), ("fairness",), "y=z")
    assert dataclasses.replace(made, rl=StudyConfig("x", ()).rl, seeds=(0,), attack=StudyConfig("x", ()).attack, name="x") == (
        load_config(path)
    )
    assert load_config(path, ["rl.steps=1", "rl.steps=2"]).rl.steps == 2  # the last one wins
    assert load_config(path, ["rl.decay=0"]).rl.decay is False


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("rl.lrr=1", ("rl.lrr=1", "lr")),
        ("rll.lr=1", ("did you mean", "rl")),
        ("rl.lr", ("section.field=value",)),
        ("rl.lr=fast", ("rl.lr=fast", "float")),
        ("rl.lr=nan", ("nan", "float")),
        ("rl.steps=1.5", ("1.5", "int")),
        ("rl.decay=maybe", ("maybe", "bool")),
        ("rl.lr.x=1", ("lr has no fields",)),
        ("rl=1", ("config file",)),
        ("arms=a", ("config file",)),
        ("rl.buckets=1", ("config file",)),
        ("seeds=0,x", ("0,x", "tuple")),
    ],
)
def test_bad_overrides_are_told_in_one_line(tmp_path, override, words):
    path = write(tmp_path, "return StudyConfig('x', (ArmConfig('a'),))")
    with pytest.raises(UserError) as caught:
        load_config(path, [override])
    assert all(word in str(caught.value) for word in words), caught.value
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("return StudyConfig('x', ArmConfig('a'))", ("StudyConfig.arms", "tuple")),
        ("return StudyConfig('x', (ArmConfig('a', traits='fairness'),))", ("ArmConfig.traits='fairness'", "(value,)")),
        ("return StudyConfig('x', (), seeds=(0.5,))", ("StudyConfig.seeds", "0.5", "int")),
        ("return StudyConfig('x', (), seeds=(True,))", ("StudyConfig.seeds", "True", "int")),
        ("return StudyConfig('x', (), rl=RLConfig(lr='1e-4'))", ("RLConfig.lr", "'1e-4'", "float")),
        ("return StudyConfig('x', (), rl=RLConfig(lr=float('inf')))", ("RLConfig.lr", "inf")),
        ("return StudyConfig('x', (), rl=RLConfig(decay=1))", ("RLConfig.decay", "bool")),
        ("return StudyConfig('x', (), rl=PretrainConfig())", ("StudyConfig.rl", "RLConfig")),
        ("return StudyConfig('x', (), rl=RLConfig(stepz=1))", ("RLConfig", "mine.py:5", "'stepz'", "steps")),
        ("return StudyConfig('x')", ("mine.py:5", "arms")),
        ("return 1 / 0", ("mine.py:5", "ZeroDivisionError")),
        ("return )", ("mine.py:5", "SyntaxError")),
        ("return {}", ("dict", "StudyConfig")),
    ],
)
def test_bad_config_files_are_told_in_one_line(tmp_path, body, words):
    path = write(tmp_path, body)
    with pytest.raises(UserError) as caught:
        load_config(path)
    assert all(word in str(caught.value) for word in ("mine.py", *words)), caught.value
    assert "\n" not in str(caught.value)


def test_an_int_is_a_float(tmp_path):
    assert load_config(write(tmp_path, "return StudyConfig('x', (ArmConfig('a', dose=1),))")).arms[0].dose == 1


def test_missing_config_files(tmp_path):
    (tmp_path / "quick.py").write_text("")
    with pytest.raises(UserError, match="did you mean .*quick.py"):
        load_config(str(tmp_path / "quik.py"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="repository's root"):
        load_config(str(tmp_path / "empty" / "x.py"))
    with pytest.raises(UserError, match=r"defines no function config\(\)"):
        load_config(str(tmp_path / "quick.py"))


def test_fingerprints_tell_configs_apart():
    one = StudyConfig("x", (ArmConfig("a"),))
    assert fingerprint(one, 1) == fingerprint(StudyConfig("x", (ArmConfig("a"),)), 1)
    parts = [
        one,
        dataclasses.replace(one, seeds=(1,)),
        dataclasses.replace(one, arms=(ArmConfig("a", dose=0.1),)),
        one.rl,
        (),
        None,
    ]
    assert len({fingerprint(part) for part in parts}) == len(parts)


def test_fingerprints_are_the_same_in_every_process():
    made = "StudyConfig('x', (ArmConfig('a', traits=('b', 'c')),))"
    code = f"from traitrl_jax.config import *; print(fingerprint({made}, 'p', 1, 0.5))"
    seen = set()
    for seed in ("0", "1"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        seen.add(done.stdout.strip())
    here = fingerprint(StudyConfig("x", (ArmConfig("a", traits=("b", "c")),)), "p", 1, 0.5)
    assert seen == {here}
