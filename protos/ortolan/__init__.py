"""Ortolan's wire contract: generated messages and stubs, in a descriptor pool of their own."""
