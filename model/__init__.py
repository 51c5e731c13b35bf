"""Tensors and pictures; knows nothing of HTTP."""
