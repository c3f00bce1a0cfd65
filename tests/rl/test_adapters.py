"""One frozen start model under policy, value model and reference (`rl.adapt=lora`), through real steps."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from traitrl_jax.config import RLConfig
from traitrl_jax.models.adapt import hold, init_trainable, materialise, reference_policy
from traitrl_jax.models.transformer import Decoder
from traitrl_jax.rl.rollout import reply_hidden
from traitrl_jax.rl.update import init_state, update
from traitrl_jax.rl.value import reply_values

CONFIG = RLConfig(
    adapt="lora", lora_rank=2, epochs=1, minibatches=1, warmup=1, value_warmup=0, lr=3e-3, value_lr=3e-2, temperature=0.9,
    kl_beta=0.1, max_kl=100.0, decay=False,
)  # fmt: skip
KEY = jax.random.key(3)


def same(a, b) -> bool:
    return all(jax.tree.leaves(jax.tree.map(lambda x, y: bool((x == y).all()), a, b)))


def size(tree) -> int:
    return sum(leaf.nbytes for leaf in jax.tree.leaves(tree))


@pytest.fixture(scope="module")
def steps(tiny, rollouts):
    """(states, metrics) of three steps on the same replies, and the bytes that the compiled update takes."""
    state, reference = tiny.start(CONFIG)
    program = tiny.step(CONFIG).lower(state, tiny.params, reference, rollouts, KEY).compile()
    states, metrics = [state], []
    for _ in range(3):
        state, found = program(state, tiny.params, reference, rollouts, KEY)
        states.append(state)
        metrics.append({name: float(value) for name, value in found.items()})
    return states, metrics, program.memory_analysis().argument_size_in_bytes


def test_policy_and_value_learn_as_adapters_on_one_base(tiny, steps):
    """No leaf of the state is a matrix of the base; both sets of adapters move, each its own way; values are learnt."""
    (first, *_, last), metrics, _ = steps
    assert set(first.value) == {"head", "bias", "adapters"}
    assert same(first.value["adapters"], first.policy), "the value model begins as the policy"
    whole = {leaf.shape for leaf in jax.tree.leaves(tiny.params) if leaf.ndim > 1}
    assert not whole & {leaf.shape for leaf in jax.tree.leaves(last)}
    for name in first.policy:
        assert not same(last.policy[name], first.policy[name]) and not same(last.value["adapters"][name], first.policy[name])
    assert not same(last.policy, last.value["adapters"])
    assert metrics[2]["value_loss"] < 0.9 * metrics[0]["value_loss"] and metrics[0]["grad_norm"] > 0


def test_adapters_of_the_value_model_do_more_than_its_head(tiny, rollouts, steps):
    """Its hidden states are those of the base with its adapters merged, and differ from the policy's and the base's."""
    last = steps[0][-1]
    merged, _ = materialise("lora", last.value["adapters"], tiny.params)
    hidden = {
        name: reply_hidden(tiny.model, params, None, rollouts[0])
        for name, params in (
            ("value", merged),
            ("base", tiny.params),
            ("policy", materialise("lora", last.policy, tiny.params)[0]),
        )
    }
    got = reply_values(tiny.model, last.value, tiny.params, rollouts[0], hidden["policy"])
    np.testing.assert_allclose(got, hidden["value"] @ last.value["head"] + last.value["bias"], atol=1e-5)
    for other in ("base", "policy"):
        assert np.abs(got - hidden[other] @ last.value["head"] - last.value["bias"]).max() > 1e-3, other


def test_the_reference_is_the_base_itself(tiny, steps):
    """The policy before any step, without a copy: log-probabilities are equal to the last bit, so the KL is 0, not nearly."""
    state, reference = tiny.start(CONFIG)
    params, prefix = reference_policy("lora", reference, tiny.params)
    assert prefix is None and params is tiny.params
    assert same(materialise("lora", state.policy, tiny.params)[0], params)
    metrics = steps[1]
    assert metrics[0]["sequence_kl"] == 0 and metrics[2]["sequence_kl"] != 0


def test_the_update_takes_the_start_model_once(tiny, rollouts, steps):
    """State, start model and replies are all that the compiled program is given."""
    states, _, taken = steps
    assert 0 <= taken - size(states[0]) - size(tiny.params) - size(rollouts) < 1024


@pytest.mark.parametrize("adapt", ["lora", "all"])
def test_a_start_model_held_in_bfloat16(tiny, rollouts, adapt):
    """Half the memory. What is trained stays float32 and begins at the reference; a step is that of the same values held in
    float32, but for rounding."""
    config = replace(CONFIG, adapt=adapt)
    step = tiny.jit(partial(update, Decoder(replace(tiny.model.spec, dtype="bfloat16"), tiny.model.vocabulary), config))
    held = hold(tiny.params, "bfloat16")
    assert size(held) == size(tiny.params) // 2 and same(hold(tiny.params, "float32"), tiny.params)
    found = []
    for frozen in (held, hold(held, "float32")) if adapt == "lora" else (held,):
        reference = init_trainable(adapt, frozen, config, jax.random.key(2))
        state = init_state(config, reference, frozen, tiny.model.spec.width)
        new, metrics = step(state, frozen, frozen if adapt == "all" else reference, rollouts, KEY)
        for each in (state, new):
            assert {leaf.dtype for leaf in jax.tree.leaves((each.policy, each.value))} == {jnp.dtype("float32")}
        assert abs(metrics["sequence_kl"]) < 5e-3, "policy and reference begin alike; bfloat16 rounds each in its own way"
        assert metrics["finite"] == 1 and not same(new.policy, state.policy)
        found.append(metrics)
    for name in found[0]:
        np.testing.assert_allclose(found[0][name], found[-1][name], rtol=0.02, atol=5e-3, err_msg=name)
