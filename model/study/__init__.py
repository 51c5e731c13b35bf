"""The laboratory: networks that differ in one thing, trained and judged alike."""
