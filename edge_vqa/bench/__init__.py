"""How long answers take on this very machine, and whether the figures can be trusted: python -m edge_vqa.bench.

measure.py says what is measured; docs/measure.md what it means.
"""
