"""A study's folder: stages with fingerprints. A stage that is done is skipped; one made with another config is never
mixed in."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from traitrl_jax.config import StudyConfig, UserError, fingerprint
from traitrl_jax.runtime.files import modified, path_of, peak_memory_gb, read_json, write_json_atomic
from traitrl_jax.runtime.processes import from_first
from traitrl_jax.runtime.tracking import Stages


class Folder:
    """runs/<study>/: one folder per stage, each with stage.json once it is done."""

    def __init__(self, config: StudyConfig, stages: Stages):
        self.root = path_of(config.out) / config.name
        self._stages = stages

    def __truediv__(self, name: str) -> Path:
        return self.root / name

    def done(self, stage: str) -> bool:
        """Has this stage been finished?"""
        return from_first(f"is {stage} done", (self.root / stage / "stage.json").is_file)

    def made_of(self, stage: str) -> str:
        """Fingerprint of the inputs of a finished stage."""
        return from_first(f"what {stage} was made of", read_json, self.root / stage / "stage.json")["fingerprint"]

    @contextmanager
    def stage(self, name: str, *depends_on: Any) -> Iterator[Path | None]:
        """The stage's folder to work in, or None if it is done. Leaving the block without an error marks it done.

        Raises UserError if the folder was begun with other inputs than `depends_on`.
        """
        folder, print_ = self.root / name, fingerprint(*depends_on)
        if from_first(f"begin {name}", self._begin, folder, print_):
            self._stages.skip(name)
            yield None
            return
        with self._stages.stage(name):
            yield folder
        facts = {"seconds": round(self._stages.seconds[name], 1), "peak_memory_gb": round(peak_memory_gb(), 2)}
        from_first(f"end {name}", write_json_atomic, folder / "stage.json", {"fingerprint": print_, **facts})

    def _begin(self, folder: Path, print_: str) -> bool:
        """Is the stage done already? If not, its folder is made and marked as begun."""
        folder.mkdir(parents=True, exist_ok=True)
        begun = folder / "begun.json"
        if begun.is_file() and read_json(begun)["fingerprint"] != print_:
            raise UserError(
                f"{folder}: was made with another config; choose another name (--set name=...), "
                f"or delete {folder} and what follows it"
            )
        if (folder / "stage.json").is_file():
            return True
        if not begun.is_file():
            write_json_atomic(begun, {"fingerprint": print_})
        return False

    def facts(self) -> tuple[dict[str, float], float]:
        """(seconds of every finished stage, of its last run if it was interrupted; peak memory of any process in GB)."""
        every = [*self.root.glob("*/stage.json"), *self.root.glob("*/*/stage.json")]  # a bucket is not searched in depth
        found = sorted(every, key=modified)
        stages = {str(path.parent.relative_to(self.root)): read_json(path) for path in found}
        peak = max((stage["peak_memory_gb"] for stage in stages.values()), default=0.0)
        return {name: stage["seconds"] for name, stage in stages.items()}, peak
