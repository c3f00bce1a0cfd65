"""What the runner asks the engine for: every item has random numbers of its own, in every eval."""

from traitrl_jax.data.schema import Message
from traitrl_jax.evals import runner
from traitrl_jax.evals.engine import Reply
from traitrl_jax.evals.suite import evals

NAMES = ("agent_log", "tool_report", "two_audiences", "shutdown_notice")


class Asked:
    """An engine that answers nothing and keeps the numbers it is asked with."""

    def __init__(self):
        self.numbers: list[int] = []

    def replies(self, policy, conversations, max_new, seed, numbers):
        assert len(numbers) == len(conversations)
        self.numbers += numbers
        return [Reply(Message("assistant", ""), (), True) for _ in conversations]

    def option_logprobs(self, policy, conversations, replies, options):
        return [[0.0] * len(row) for row in options]


def test_no_two_items_share_their_random_numbers():
    engine, scenarios = Asked(), runner.held_out_scenarios(1, 0, domains=("law", "art"))
    runner.run_families(engine, None, evals(NAMES), 50, 0, 0)
    runner.run_scenarios(engine, None, scenarios, 0)
    runner.run_tasks(engine, None, 5, 0, 0)
    assert len(engine.numbers) > 5 * 50 + 30  # an eval that asks twice has two streams an item
    assert len(set(engine.numbers)) == len(engine.numbers)
    assert all(0 <= number < 2**31 for number in engine.numbers)


def test_an_item_keeps_its_random_numbers_beside_others_and_under_every_prompt():
    alone, beside, prompted = Asked(), Asked(), Asked()
    runner.run_families(alone, None, evals(NAMES[-1:]), 20, 0, 0)
    runner.run_families(beside, None, evals(NAMES), 20, 0, 0)
    assert set(alone.numbers) < set(beside.numbers)
    scenarios = runner.held_out_scenarios(1, 0, domains=("law",))
    runner.run_prompted(prompted, None, scenarios, 0, {"none": None, "kind": lambda i: Message("system", "Be kind.")})
    assert prompted.numbers[: len(scenarios)] == prompted.numbers[len(scenarios) :]
