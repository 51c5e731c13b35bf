"""What the library of a service refuses, in words for people; nothing of HTTP."""

from model.styles.style import StyleError


class LibraryError(StyleError):
    """What the library refuses; the text is a sentence for people."""


class NoSuchStyleError(LibraryError):
    """There is no style of this id."""

    def __init__(self) -> None:
        super().__init__("There is no style of this id.")


class NoStylePreviewError(LibraryError):
    """A style without a preview."""

    def __init__(self) -> None:
        super().__init__("The style has no preview.")


class NoPaintingError(LibraryError):
    """A style without a copy of its picture."""

    def __init__(self) -> None:
        super().__init__("There is no copy of the style's picture.")


class BuiltInStyleError(LibraryError):
    """Built-in styles stay."""

    def __init__(self) -> None:
        super().__init__("Built-in styles stay as they are.")


class BuiltInIdError(LibraryError):
    """A custom style cannot have a built-in style's id."""

    def __init__(self) -> None:
        super().__init__("A built-in style has this id.")


class RetuneNotNeededError(LibraryError):
    """Only styles of another network are learned anew."""

    def __init__(self) -> None:
        super().__init__("The style fits the network as it is.")


class RetuneFirstError(LibraryError):
    """A style of another network cannot be improved."""

    def __init__(self) -> None:
        super().__init__("The style was learned for another network; it needs a retune.")


class NoSourceError(LibraryError):
    """Nothing to learn a style anew from."""

    def __init__(self) -> None:
        super().__init__("There is no copy of the style's picture; learn it from the picture anew.")
