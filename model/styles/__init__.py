"""Styles: a code and its description, on disk and in portable files."""
