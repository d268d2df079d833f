"""Comparisons: figures of several ways of pretraining on the same patients, and which of them truly differ."""

from components.core.comparison.table import Comparison, read_comparison

__all__ = ["Comparison", "read_comparison"]
