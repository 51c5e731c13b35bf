"""The engine: who is let in, what runs together, and the thread that computes."""
