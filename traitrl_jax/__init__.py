"""Alignment traits by reinforcement learning in JAX: train them, measure what generalises, attack what was learned."""

__version__ = "0.1.0"
