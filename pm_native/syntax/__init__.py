"""Texts to trees that know where each value stands: TOML, YAML, JSON, JSON5, .env."""

from pm_native.syntax.node import Node, Scalar

__all__ = ["Node", "Scalar"]
