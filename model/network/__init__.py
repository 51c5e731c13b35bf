"""The paper's figure: the network, its normalization and its codes."""
