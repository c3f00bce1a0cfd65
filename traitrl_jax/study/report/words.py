"""What every section is called and how it is read: plain words for somebody who has not seen the code."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Words:
    """A section's name in the bar, its title, and one or two sentences on how to read it."""

    nav: str
    title: str
    how: str


SECTIONS = {
    "in-distribution": Words(
        "In distribution",
        "In distribution: did the traits take hold?",
        "New scenarios of the kind that was trained, none of them seen in training: how far did training do what it "
        "rewards? In the charts each mark is a model; in the matrices blue is better and red is worse.",
    ),
    "evals": Words(
        "Evals",
        "Evals that no arm was trained on",
        "Left, where each model stands, with chance as a dotted tick and a shaded range from the start model told to be "
        "harmful to the start model told to be helpful; right, the change with its 95% interval, which is evidence where "
        "it is clear of zero. A hatched eval does not tell those two personas apart and is not usable; open a row for "
        "what it measures.",
    ),
    "curves": Words(
        "Curves",
        "Learning curves",
        "Strong lines are the mean over an arm's seeds, faint ones single seeds; the held-out score and the tasks are "
        "measured apart from the reward that training saw. KL is the distance from the start model, entropy how varied "
        "replies still are.",
    ),
    "proxy": Words(
        "Proxy and gold",
        "Proxy against gold",
        "The proxy is the fitted grader that gives the reward, gold is the ground truth it stands for. Points above the "
        "diagonal, and a gap that grows with training, mean that the policy pleases the grader more than it improves.",
    ),
    "start": Words(
        "Start model",
        "Start model",
        "Before reinforcement learning: the start model's trait score with no prompt, and when a system prompt names a "
        "persona. A wide range means that the character is there to be steered; a score near one leaves nothing to train.",
    ),
    "persona-attack": Words(
        "Persona attack",
        "Attack by persona prompt",
        "The same scenarios under system prompts in wordings never trained on: first the level each model ends at, then "
        "what it lost against its own level without a prompt. A model near the floor has little to lose, so read levels "
        "first.",
    ),
    "ladder": Words(
        "Fine-tuning attack",
        "Harmful fine-tuning",
        "Each model is fine-tuned on harmful replies in one narrow corner, for more and more steps: the first chart shows "
        "the harm done there, the others whether it spread. Compare models at equal narrow harm; levels first, then what "
        "was lost.",
    ),
    "capability": Words(
        "Capability",
        "Capability and refusal",
        "What may have been paid for the traits: the share of standard tasks solved (higher is better), and the share of "
        "requests turned down, where harmless ones should be answered (lower is better).",
    ),
    "grader": Words(
        "Grader",
        "Grader audit",
        "The grader says for each rubric line how likely it is met; ground truth says whether it is. It earns trust where "
        "it is right more often than always giving the most common answer, and where its probabilities lie on the "
        "diagonal.",
    ),
    "conditions": Words(
        "Conditions",
        "Run conditions",
        "Everything that decides the numbers above; the bars say where the time went. Two studies may be compared only if "
        "their protocol fingerprints are equal.",
    ),
    "transcripts": Words(
        "Transcripts",
        "Transcripts",
        "The same prompts, one column a model; a thought (dimmed) is no part of the reply: the grader never sees it. ✓ "
        "is a line that the reply met; a line with negative points names a failure, so there ✓ is bad and ○ is good.",
    ),
}
