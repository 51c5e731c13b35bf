"""The network as a CPU runs it, in bands of rows, and for pictures of any size."""
