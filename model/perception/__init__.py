"""How pictures are seen: the perceptual encoder, and the moments of what it sees."""
