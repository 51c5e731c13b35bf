"""How networks and styles are learned and judged; needs a loss network."""
