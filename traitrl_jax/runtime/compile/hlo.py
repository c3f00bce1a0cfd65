"""What a compiled program does, read from its text: matrix products, bytes moved and collectives, loops counted as often as
they run. XLA's own cost analysis counts the body of a loop once.

A text is that of one device. Products and collectives are read behind the partitioner, where both stand alone; bytes moved
are read from the final program, where fusions say what stays on the chip.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

_BYTES = {
    "pred": 1,
    "s8": 1,
    "u8": 1,
    "s16": 2,
    "u16": 2,
    "bf16": 2,
    "f16": 2,
    "s32": 4,
    "u32": 4,
    "f32": 4,
    "s64": 8,
    "u64": 8,
}
COLLECTIVES = ("all-gather", "all-reduce", "reduce-scatter", "all-to-all", "collective-permute")
_SHAPE = re.compile(r"\b([a-z]+\d*)\[([\d,]*)\](\{[^}]*\})?")
_OP = re.compile(r"\s*(ROOT )?%?([\w.\-]+) = ")
_HEAD = re.compile(r"(ENTRY )?%?([\w.\-]+) \(.*\{$")
_CALLED = re.compile(r"(?:calls|to_apply|condition|body|true_computation|false_computation)=%?([\w.\-]+)")
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")
# Moves nothing itself: names, wholes and parts of tuples, what is counted inside, ends of what was counted at its start.
_FREE = {
    "parameter", "constant", "tuple", "get-tuple-element", "bitcast", "while", "conditional", "call", "after-all", "iota",
    "partition-id", "replica-id", "broadcast", "opt-barrier", "async-start", "async-update", "async-done", "copy-done",
    "slice-done", "all-gather-done", "all-reduce-done", "collective-permute-done", "send-done", "recv-done",
}  # fmt: skip
_SLICES = ("dynamic-slice", "slice", "gather")
_SAME = ("convert", "copy", "bitcast", "reshape", "transpose", "fusion")  # what a weight may pass on its way to a collective


class Shape(NamedTuple):
    """An array: element type, sizes, and whether it lies in the chip's large memory."""

    kind: str
    sizes: tuple[int, ...]
    large: bool

    @property
    def elements(self) -> int:
        return math.prod(self.sizes)

    @property
    def bytes(self) -> int:
        return self.elements * _BYTES.get(self.kind, 0)

    @property
    def moved(self) -> int:
        """Bytes of the large memory that reading or writing it takes."""
        return self.bytes if self.large else 0


class Op(NamedTuple):
    """An instruction."""

    name: str
    kind: str
    shapes: tuple[Shape, ...]  # of its results
    operands: tuple[str, ...]
    text: str  # from the operands on


class Computation(NamedTuple):
    """A body of instructions by name; `root` is the last."""

    ops: dict[str, Op]
    root: str


class Module(NamedTuple):
    """A program's computations."""

    computations: dict[str, Computation]
    entry: str


class Collective(NamedTuple):
    """All collectives of a kind: how many run, the bytes a chip sends, and how many devices take part at most."""

    count: int
    bytes: float
    devices: int


def parse(text: str) -> Module:
    """The program of an HLO text."""
    computations, entry, name, ops, root = {}, "", "", {}, ""
    for line in text.splitlines():
        head = _HEAD.match(line)
        if head:
            name, ops, root = head[2], {}, ""
            entry = name if head[1] else entry
        elif name and re.match(r"\}(,|\s|$)", line):  # a kernel's metadata may hold lines that begin with }}
            computations[name], name = Computation(ops, root), ""
        elif name and (found := _OP.match(line)):
            op = _parse_op(found[2], line[found.end() :])
            ops[op.name] = op
            root = op.name if found[1] else root
    return Module(computations, entry)


def _parse_op(name: str, rest: str) -> Op:
    end = _closing(rest, 0) + 1 if rest.startswith("(") else rest.index(" ")
    kind, _, text = rest[end:].strip().partition("(")
    stop = _closing(f"({text}", 0) - 1
    shapes = tuple(_shape(*found) for found in _SHAPE.findall(rest[:end]))
    constant = kind == "constant"
    return Op(name, kind, shapes, () if constant else tuple(re.findall(r"%([\w.\-]+)", text[:stop])), text)


def _shape(kind: str, sizes: str, layout: str) -> Shape:
    space = re.search(r"S\((\d+)\)", layout)
    return Shape(kind, tuple(int(n) for n in sizes.split(",") if n), space is None or space[1] == "0")


def _closing(text: str, at: int) -> int:
    """Where the bracket that opens at `at` closes."""
    depth = 0
    for i in range(at, len(text)):
        depth += (text[i] == "(") - (text[i] == ")")
        if depth == 0:
            return i
    return len(text)


def called(op: Op) -> list[str]:
    """Computations that an instruction runs."""
    lists = (re.findall(r"[\w.\-]+", names) for names in _BRANCHES.findall(op.text))
    return _CALLED.findall(op.text) + [name for names in lists for name in names]


def trips(module: Module, loop: Op) -> int:
    """How often a loop runs: as the compiler found, or the largest bound its condition compares with (a loop that may end early
    is counted in full)."""
    known = re.search(r'known_trip_count["\s:=]+\{\s*"?n"?\s*[:=]\s*"?(\d+)', loop.text)
    if known:
        return int(known[1])
    condition = re.search(r"condition=%?([\w.\-]+)", loop.text)[1]
    bounds, step = [1], _step(module, loop)
    for name in reached(module, condition):
        for op in module.computations[name].ops.values():
            if op.kind == "constant" and op.shapes and op.shapes[0].kind in ("s32", "u32", "s64") and not op.shapes[0].sizes:
                bounds.append(int(re.match(r"-?\d+", op.text)[0]))
    return -(-max(bounds) // step)


def _step(module: Module, loop: Op) -> int:
    """By how much a loop's counter grows in a turn: the partitioner's own loops take two shards at a time."""
    body = module.computations[re.search(r"body=%?([\w.\-]+)", loop.text)[1]]
    for name in body.ops[body.root].operands:
        grown, op = 0, body.ops[name]
        while op.kind == "add" and op.shapes[0].kind in ("s32", "u32", "s64") and not op.shapes[0].sizes:
            parts = [body.ops[part] for part in op.operands]
            constant = next((part for part in parts if part.kind == "constant"), None)
            if constant is None:
                break
            grown += int(re.match(r"-?\d+", constant.text)[0])
            op = next(part for part in parts if part is not constant)
        if op.kind == "get-tuple-element" and grown > 0:
            return grown
    return 1


def reached(module: Module, name: str) -> list[str]:
    """A computation and all that it runs."""
    found, todo = [], [name]
    while todo:
        each = todo.pop()
        if each in found or each not in module.computations:
            continue
        found.append(each)
        todo += [inner for op in module.computations[each].ops.values() for inner in called(op)]
    return found


def executions(module: Module, fused: bool = True) -> Iterator[tuple[Computation, Op, int]]:
    """Every instruction with its computation and how often it runs. Not `fused`: fusions are one instruction."""
    counts: Counter[str] = Counter()

    def visit(name: str, times: int) -> None:
        counts[name] += times
        for op in module.computations[name].ops.values():
            if op.kind == "fusion" and not fused:
                continue
            for inner in called(op):
                if inner in module.computations:
                    visit(inner, times * (trips(module, op) if op.kind == "while" else 1))

    visit(module.entry, 1)
    for name, times in counts.items():
        computation = module.computations[name]
        yield from ((computation, op, times) for op in computation.ops.values())


def product_flops(module: Module) -> float:
    """2 per multiplication of all matrix products. Kernels written by hand count as nothing."""
    total = 0.0
    for computation, op, times in executions(module):
        if op.kind == "dot":
            left = computation.ops[op.operands[0]].shapes[0].sizes
            axes = re.search(r"lhs_contracting_dims=\{([\d,]*)\}", op.text)[1]
            total += 2.0 * times * op.shapes[0].elements * math.prod(left[int(a)] for a in axes.split(",") if a)
    return total


def collectives(module: Module) -> dict[str, Collective]:
    """By kind. A ring over n devices: all-gather and reduce-scatter send (n - 1) / n of the whole array, all-reduce twice
    that."""
    found: dict[str, Collective] = {}
    for computation, op, times in executions(module):
        kind = op.kind.removesuffix("-start")
        if kind in COLLECTIVES:
            n = _group(op)
            parts = [s for name in op.operands for s in computation.ops[name].shapes]
            whole = sum(s.bytes for s in parts) * (n if kind == "all-gather" else 1)
            sent = whole if kind == "collective-permute" else whole * (n - 1) / n * (2 if kind == "all-reduce" else 1)
            old = found.get(kind, Collective(0, 0.0, 0))
            found[kind] = Collective(old.count + times, old.bytes + times * sent, max(old.devices, n))
    return found


def _group(op: Op) -> int:
    """Devices that take part in one collective."""
    mesh = re.search(r"replica_groups=mesh\[([^\]]*)\] \{([^}]*)\}", op.text)
    if mesh:
        sizes = dict(re.findall(r"'(\w+)'=(\d+)", mesh[1]))
        return math.prod(int(sizes[axis]) for axis in re.findall(r"'(\w+)'", mesh[2]))
    grid = re.search(r"replica_groups=\[([\d,]+)\]", op.text)
    if grid:
        return int(grid[1].split(",")[-1])
    first = re.search(r"replica_groups=\{\{([\d,]*)\}", op.text)
    return len(first[1].split(",")) if first else 2


def bytes_moved(module: Module) -> float:
    """Bytes read from and written to the chip's large memory, per instruction of the final program. A slice reads what it
    takes, an update writes what it changes; the latter hold inside fusions too."""
    total = 0.0
    for computation, op, times in executions(module, fused=False):
        if op.kind not in _FREE:
            total += times * _moved(module, computation, op)
    return total


def _moved(module: Module, computation: Computation, op: Op) -> float:
    def operand(i: int) -> int:
        made = computation.ops.get(op.operands[i])
        return sum(s.moved for s in made.shapes) if made else 0

    written = sum(s.moved for s in op.shapes)
    if op.kind in _SLICES:
        return 2 * written
    if op.kind == "dynamic-update-slice":
        return 2 * operand(1)
    if op.kind in ("copy-start", "slice-start"):  # one end of it lies in the small memory; results: both ends, in any order
        ends = op.shapes[:2]
        return min(s.bytes for s in ends) * sum(s.large for s in ends)
    inner = next((module.computations[name] for name in called(op) if name in module.computations), None)
    if op.kind != "fusion" or inner is None:
        return written + sum(map(operand, range(len(op.operands))))
    read, users = 0, _users(inner)
    parameters = {int(re.match(r"\d+", p.text)[0]): p.name for p in inner.ops.values() if p.kind == "parameter"}
    for i in range(len(op.operands)):
        uses = users.get(parameters.get(i, ""), [])
        if uses and all(u.kind in _SLICES and u.operands[0] == parameters[i] for u in uses):
            read += min(operand(i), sum(s.bytes for u in uses for s in u.shapes))
        elif uses and all(u.kind == "dynamic-update-slice" and u.operands[0] == parameters[i] for u in uses):
            continue  # changed in place
        else:
            read += operand(i)
    updates = [u for u in inner.ops.values() if u.kind == "dynamic-update-slice"]
    whole = sum(u.shapes[0].bytes for u in updates)
    if updates and whole <= written:
        written += sum(inner.ops[u.operands[1]].shapes[0].bytes for u in updates) - whole
    return read + written


def _users(computation: Computation) -> dict[str, list[Op]]:
    users: dict[str, list[Op]] = {}
    for op in computation.ops.values():
        for name in op.operands:
            users.setdefault(name, []).append(op)
    return users


def loop_gathers(module: Module, inside: str) -> tuple[int, int, int]:
    """Of the loop whose instructions are named after `inside`, per turn: all-gathers, the bytes of the largest one's result,
    and how many gather what the loop does not change, such as weights."""
    count, largest, constant = 0, 0, 0
    for loop in (op for c in module.computations.values() for op in c.ops.values() if op.kind == "while"):
        body = re.search(r"body=%?([\w.\-]+)", loop.text)[1]
        names = reached(module, body)
        if not any(inside in op.text for name in names for op in module.computations[name].ops.values()):
            continue
        kept = _unchanged(module.computations[body])
        for name in names:
            for op in module.computations[name].ops.values():
                if op.kind in ("all-gather", "all-gather-start"):
                    count += 1
                    largest = max(largest, max(s.bytes for s in op.shapes))
                    constant += name == body and _source(module.computations[body], op.operands[0]) in kept
    return count, largest, constant


def _unchanged(body: Computation) -> set[str]:
    """Values that a loop's body hands on as it got them."""
    index = {op.name: int(re.search(r"index=(\d+)", op.text)[1]) for op in body.ops.values() if op.kind == "get-tuple-element"}
    source = {name for name in index if body.ops[body.ops[name].operands[0]].kind == "parameter"}
    handed = body.ops[body.root].operands
    return {name for name in source if index[name] < len(handed) and _source(body, handed[index[name]]) == name}


def _source(body: Computation, name: str) -> str:
    """Where a value comes from, through what does not change it."""
    while name in body.ops and body.ops[name].kind in _SAME and body.ops[name].operands:
        name = body.ops[name].operands[0]
    return name
