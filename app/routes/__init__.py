"""Handlers: each validates, calls one thing, answers."""
