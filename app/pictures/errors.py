"""What the desk of large pictures refuses, in words for people; nothing of HTTP."""


class PictureDeskError(Exception):
    """A refusal; the text is one line and safe to show.

    Parameters
    ----------
    text
        A sentence for people.
    retry_after_s
        Whole seconds after which to try again, where that may help.
    """

    def __init__(self, text: str, retry_after_s: int | None = None) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s


class UnknownPictureError(PictureDeskError):
    """There is no such picture: there never was, or it has gone."""

    def __init__(self) -> None:
        super().__init__("There is no picture of this id; they are kept for an hour at most.")


class NoPicturePreviewError(PictureDeskError):
    """Nothing to look at: not yet, or not any more."""

    def __init__(self) -> None:
        super().__init__("The picture has no preview now.")


class NoResultError(PictureDeskError):
    """The picture is not painted: not yet, or it will not be."""


class PicturesFullError(PictureDeskError):
    """As many pictures wait, or as many bytes are kept, as are taken."""
