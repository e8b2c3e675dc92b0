"""Bulk inference: many rows, in batches whose size and number find themselves. `bulk.py` is what callers see."""
