"""From a photo and a style code to a pastiche, on any device and at any size."""
