"""How fast a device is, learned from what it has done."""

PIECES_SHARE = 0.85  # of the speed of whole pictures, until one in pieces tells better
FADING = 0.8  # of what was learned, with each further observation


class Pace:
    """Pixels a second, the last batches counting most.

    Parameters
    ----------
    pixels_per_s
        A first guess, which the first observation replaces.
    """

    def __init__(self, pixels_per_s: float) -> None:
        self.pixels_per_s = pixels_per_s
        self._recent = 0.0, 0.0  # pixels and seconds

    @property
    def is_guess(self) -> bool:
        """Whether nothing has been observed yet."""
        return self._recent[0] == 0

    def observe(self, pixels: int, seconds: float) -> None:
        """Learn from a batch."""
        self._recent = FADING * self._recent[0] + pixels, FADING * self._recent[1] + seconds
        self.pixels_per_s = self._recent[0] / max(self._recent[1], 1e-6)

    def forget(self) -> None:
        """Take what was learned for a guess: the device is about to compute in another way."""
        self._recent = 0.0, 0.0


class Estimator:
    """Says how long a picture will take: one that runs whole, or one in pieces.

    Parameters
    ----------
    whole
        The pace of whole pictures, kept by another.
    """

    def __init__(self, whole: Pace) -> None:
        self.whole_pixels = 0  # most that run whole
        self._whole = whole
        self._pieces = Pace(0.0)

    def observe(self, pixels: int, seconds: float) -> None:
        """Learn from a picture that ran alone; whole ones teach whoever keeps their pace."""
        if pixels > self.whole_pixels:
            self._pieces.observe(pixels, seconds)

    def seconds(self, pixels: int) -> float:
        """How long a picture of so many pixels takes alone."""
        if pixels <= self.whole_pixels:
            return pixels / self._whole.pixels_per_s
        if self._pieces.is_guess:
            return pixels / (PIECES_SHARE * self._whole.pixels_per_s)
        return pixels / self._pieces.pixels_per_s
