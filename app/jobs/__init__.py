"""Styles being learned: the desk that takes orders, and the worker that fills them."""
