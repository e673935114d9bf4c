"""Writes the vectors from the cases and the model: `python -m objectstreaming.conformance.generator [--check]`.

It shares no code with the package, and needs the standard library alone: see `model`.
"""
