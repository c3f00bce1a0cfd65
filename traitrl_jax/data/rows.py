"""The rows of a training stream: what PPO samples replies to, made on demand from (leaf name, index)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from traitrl_jax.config import ArmConfig, UserError, WorldConfig, unknown
from traitrl_jax.data import tasks
from traitrl_jax.data.files import read_scenarios
from traitrl_jax.data.mixture import Mixture, arm_mixture, leaves, stream
from traitrl_jax.data.schema import Message, Scenario
from traitrl_jax.data.tasks import Task
from traitrl_jax.data.world.lexicon import TRAITS
from traitrl_jax.data.world.pools import DOMAINS
from traitrl_jax.data.world.scenario import make_scenario, with_helpfulness_rubric

CELL_SIZE = 400  # scenarios of one trait and domain in the RL pool; 200 pairs of twins
TASK_SIZE = 100_000  # tasks of one family in a stream
REWARDS = ("standard", "rubric", "helpfulness")


@dataclass(frozen=True)
class Row:
    """One prompt of a step. `item` says how its reply is scored: a task by its verifier, a scenario by its rubric."""

    source: str  # leaf of the mixture, such as standard/sorting or trait/fairness/law
    item: Task | Scenario

    @property
    def messages(self) -> tuple[Message, ...]:
        """The prompt."""
        return (Message("user", self.item.prompt),) if isinstance(self.item, Task) else self.item.messages


class Stream:
    """The rows of one arm. The position is one integer: `batches(start)` begins at any step at the same cost."""

    def __init__(self, arm: ArmConfig, world: WorldConfig, seed: int, rows: int):
        """Reads and checks the arm's scenario files. Raises UserError for unknown rewards, traits, domains and bad files."""
        self._arm, self._world, self._seed, self._rows = arm, world, seed, rows
        self._files: dict[str, dict[str, list[Scenario]]] = {}
        for path in arm.scenario_files:
            cells = self._files.setdefault(path.replace("/", "_"), {})
            for scenario in read_scenarios(path, allow_new_traits=True):
                cells.setdefault(scenario.domain, []).append(scenario)
        self.mixture = self._mixture()
        self._leaves = leaves(self.mixture)

    def _mixture(self) -> Mixture:
        arm = self._arm
        if arm.reward not in REWARDS:
            raise unknown(f"reward of arm {arm.name!r}:", arm.reward, REWARDS)
        for field, names, known in (("trait", arm.traits, TRAITS), ("domain", arm.domains, DOMAINS)):
            for name in names:
                if name not in known:
                    raise unknown(f"{field} of arm {arm.name!r}:", name, known)
        if arm.reward == "standard":
            if arm.scenario_files or arm.traits or arm.domains:
                raise UserError(f"arm {arm.name!r}: reward 'standard' takes no traits, domains or scenario files; remove them")
            return arm_mixture(arm.dose, tasks.FAMILIES, TASK_SIZE)
        if arm.reward == "helpfulness" and arm.scenario_files:
            raise UserError(
                f"arm {arm.name!r}: reward 'helpfulness' takes no scenario_files: it grades by the user's hidden wish, which "
                "no file holds; remove the files or use reward 'rubric'"
            )
        cells = {t: dict.fromkeys(arm.domains or DOMAINS, CELL_SIZE) for t in arm.traits or TRAITS}
        cells |= {name: {d: len(found) for d, found in by_domain.items()} for name, by_domain in self._files.items()}
        return arm_mixture(arm.dose, tasks.FAMILIES, TASK_SIZE, cells)

    def row(self, leaf: str, index: int) -> Row:
        """The row that a leaf's index stands for."""
        kind, *path = leaf.split("/")
        if kind != "trait":
            return Row(leaf, tasks.make_task(path[0], "rl", index, self._world.seed))
        source, domain = path
        if source in self._files:
            scenario = self._files[source][domain][index]
        else:
            scenario = make_scenario(source, domain, "rl", index, self._world.seed)
        return Row(leaf, with_helpfulness_rubric(scenario) if self._arm.reward == "helpfulness" else scenario)

    def batches(self, start: int) -> Iterator[list[Row]]:
        """The rows of step `start`, `start + 1`, ..."""
        for leaf_ids, indices in stream(self.mixture, self._seed, start * self._rows, self._rows):
            yield [self.row(self._leaves[leaf], int(i)) for leaf, i in zip(leaf_ids, indices, strict=True)]


def standard_rows(batch: Sequence[Row]) -> list[Row]:
    """The rows that are the same in every arm."""
    return [row for row in batch if row.source.startswith("standard/")]
