"""What the desk of jobs refuses, in words for people; nothing of HTTP."""


class JobError(Exception):
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


class UnknownJobError(JobError):
    """There is no such job."""

    def __init__(self) -> None:
        super().__init__("There is no job of this id.")


class NoPreviewYetError(JobError):
    """The job has no preview: not yet, or not any more."""

    def __init__(self) -> None:
        super().__init__("The job has no preview now.")


class QueueFullError(JobError):
    """As many styles are being learned, or wait for it, as are taken."""


class KeyReusedError(JobError):
    """An idempotency key that belongs to another order."""

    def __init__(self) -> None:
        super().__init__("The key belongs to another order.")


class JobsUnavailableError(JobError):
    """The database of jobs does not answer. Whether it has done what was asked is not known."""

    def __init__(
        self,
        text: str = "New styles cannot be learned now: the server's database of jobs does not "
        "answer.",
        retry_after_s: int = 10,
    ) -> None:
        super().__init__(text, retry_after_s)


class JobsDiskFullError(JobsUnavailableError):
    """The disk under the database of jobs is full; what was asked is not done."""

    def __init__(self) -> None:
        super().__init__("The server's disk is full.", 60)
