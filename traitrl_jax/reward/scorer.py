"""Scores of sampled replies: rubric rows by the head on the device, task rows by their exact verifiers.

With world scenarios the gold score is computed beside the reward, from the text and the hidden state. It trains nothing.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from traitrl_jax.config import UserError
from traitrl_jax.data.rows import Row, exact_credit
from traitrl_jax.data.schema import Scenario
from traitrl_jax.data.world.verifier import gold_score
from traitrl_jax.models.sampling import Replies
from traitrl_jax.models.transformer import Decoder
from traitrl_jax.reward.fit import encode_criteria, line_room
from traitrl_jax.reward.head import grade
from traitrl_jax.runtime.mesh import feed_rows, to_host
from traitrl_jax.text.chat import decode_reply, encode_criterion
from traitrl_jax.text.tokenizer import Tokenizer

LINES, LINE_TOKENS = 5, 24  # static size of a rubric


class Scores(NamedTuple):
    """Scores of one bucket's rows."""

    reward: jax.Array  # [B] on the device; NaN where the grader failed
    gold: np.ndarray  # [B] ground truth of world scenarios; NaN for other rows
    lengths: np.ndarray  # [B] reply tokens


class Scorer:
    """Scores a bucket of rows. Holds the grader and its compiled program."""

    def __init__(self, model: Decoder, head: Any, tokenizer: Tokenizer):
        self._head, self._tokenizer = head, tokenizer
        self._line_tokens = line_room(tokenizer, LINE_TOKENS)
        self._grade = jax.jit(partial(grade, model, answer_id=tokenizer.answer, stops=tokenizer.stops))

    def check(self, rows: Sequence[Row]) -> None:
        """Raises UserError for a rubric that does not fit the static sizes: before training, not in it."""
        longest = self._line_tokens
        room = longest - len(encode_criterion(self._tokenizer, ""))
        for row in rows:
            if isinstance(row.item, Scenario):
                too_long = [c.text for c in row.item.rubric if len(encode_criterion(self._tokenizer, c.text)) > longest]
                if too_long or len(row.item.rubric) > LINES:
                    raise UserError(
                        f"scenario {row.item.id}: a rubric has at most {LINES} lines of {room} tokens; "
                        f"shorten {too_long[0] if too_long else 'it'!r}"
                    )

    def __call__(self, rows: Sequence[Row], prompt: jax.Array, prompt_valid: jax.Array, replies: Replies) -> Scores:
        """Scores of the replies to `rows` [B]; prompt and reply arrays as in rl/rollout."""
        tokens, lengths = to_host((replies.tokens, replies.length))
        texts = [decode_reply(self._tokenizer, t[:n]).content for t, n in zip(tokens, lengths, strict=True)]
        exact = [exact_credit(r, x) for r, x in zip(rows, texts, strict=True)]
        gold = [gold_score(r.item, x) if _has_gold(r) else np.nan for r, x in zip(rows, texts, strict=True)]
        reward = jnp.array([np.nan if x is None else x for x in exact], jnp.float32)
        if any(isinstance(row.item, Scenario) for row in rows):
            rubrics = [row.item.rubric if isinstance(row.item, Scenario) else () for row in rows]
            criteria = feed_rows(encode_criteria(self._tokenizer, rubrics, LINES, self._line_tokens))
            graded, _ = self._grade(self._head, prompt, prompt_valid, replies.tokens, replies.mask, criteria)
            reward = jnp.where(jnp.array([isinstance(row.item, Scenario) for row in rows]), graded, reward)
        return Scores(reward, np.array(gold), lengths)


def _has_gold(row: Row) -> bool:
    return isinstance(row.item, Scenario) and "kinds" in row.item.state
