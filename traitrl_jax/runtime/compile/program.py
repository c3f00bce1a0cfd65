"""One program compiled for a slice: what it takes and how fast the chips could be."""

import re
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax

from traitrl_jax.runtime.compile import hlo
from traitrl_jax.runtime.compile.chips import Chip

_DECODING = "decode_step"  # the decoder's method that names the instructions of a token's turn


class Cost(NamedTuple):
    """Of one run of a program on one chip. Bytes, unless it says otherwise."""

    name: str
    compile_seconds: float  # of this process, over all threads: a busy machine takes longer
    arguments: int
    temporaries: int
    output: int
    aliased: int  # of the output: in the place of arguments that were given away
    refused: str  # the compiler's words where the program does not fit by itself; nothing is known then but the seconds
    flops: float  # of matrix products, recomputation included
    moved: float  # to and from the chip's memory
    collectives: dict[str, hlo.Collective]
    token_gathers: tuple[int, int, int] | None  # hlo.loop_gathers of decoding; None: no decoding in it

    @property
    def beside(self) -> int:
        """What it needs at most beside its arguments."""
        return self.temporaries + self.output - self.aliased

    def seconds(self, chip: Chip) -> dict[str, float]:
        """The least time that each of the chip's units needs."""
        sent = sum(each.bytes for each in self.collectives.values())
        return {"products": self.flops / chip.flops, "memory": self.moved / chip.hbm, "network": sent / chip.ring}

    def floor(self, chip: Chip) -> float:
        """Seconds of the slowest unit, if the others work meanwhile."""
        return max(self.seconds(chip).values())


def compile_cost(name: str, lowered: Any) -> Cost:
    """Compile a lowered program and read what it costs. A program that the compiler refuses for its size has a cost too."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        try:
            made = lowered.compile(compiler_options={"xla_dump_to": folder, "xla_dump_hlo_pass_re": "spmd-partitioning"})
        except jax.errors.JaxRuntimeError as error:
            refused = refusal(str(error))
            if not refused:
                raise
            return Cost(name, time.process_time() - start, 0, 0, 0, 0, refused, 0.0, 0.0, {}, None)
        seconds = time.process_time() - start
        final = made.as_text()
        parted = hlo.parse(_partitioned(Path(folder)) or final)
    memory, final = made.memory_analysis(), hlo.parse(final)
    decodes = any(_DECODING in op.text for c in parted.computations.values() for op in c.ops.values())
    return Cost(
        name=name,
        compile_seconds=seconds,
        arguments=memory.argument_size_in_bytes,
        temporaries=memory.temp_size_in_bytes,
        output=memory.output_size_in_bytes,
        aliased=memory.alias_size_in_bytes,
        refused="",
        flops=hlo.product_flops(parted),
        moved=hlo.bytes_moved(final),
        collectives=hlo.collectives(parted),
        token_gathers=hlo.loop_gathers(parted, _DECODING) if decodes else None,
    )


def refusal(text: str) -> str:
    """What a compiler's error says of memory, in short; empty if it is another error."""
    found = re.search(r"Used ([\d.]+\w) of ([\d.]+\w) hbm|\(([\d.]+\w)\) exceeds available HBM \(([\d.]+\w)\)", text)
    if found:
        return " of ".join(part for part in found.groups() if part)
    return "more than a chip has" if "RESOURCE_EXHAUSTED" in text else ""


def _partitioned(folder: Path) -> str:
    """The program behind the partitioner; for one device, which has none, as it was given to the compiler."""
    for pattern in ("*after_*spmd-partitioning.before*.txt", "*before_optimizations.txt"):
        found = sorted(folder.glob(pattern))
        if found:
            return found[-1].read_text(encoding="utf-8")
    return ""
