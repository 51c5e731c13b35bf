"""The engine: what routes may ask of a device. Its errors, its protocol.

The one implementation, in this process, is `app.engine.local`.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from enum import StrEnum
from typing import Protocol

from app.engine.workqueue import Pastiche
from model.inference.look import Look
from model.pictures.levels import Levels

RETRY_AFTER_STOP_S = 10  # by then another process answers


class EngineError(Exception):
    """The engine cannot or will not stylize a picture now.

    Parameters
    ----------
    retry_after_s
        Whole seconds after which to try again, where that may help.
    """

    def __init__(self, retry_after_s: int | None = None) -> None:
        super().__init__()
        self.retry_after_s = retry_after_s


class OverloadedError(EngineError):
    """More work than is accepted."""


class LoadingError(EngineError):
    """The network is not loaded yet."""


class DrainingError(EngineError):
    """The server is stopping."""


class DeadlineError(EngineError):
    """Not finished in time."""


class OutOfMemoryError(EngineError):
    """The device's memory did not suffice for this picture."""


class EngineFailedError(EngineError):
    """The device no longer works; only a new process helps."""


class BrokenOutputError(EngineError):
    """The network's output was not finite: no picture."""


class EngineState(StrEnum):
    """What an engine can do."""

    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"
    FAILED = "failed"


class NotReadyError(EngineError):
    """Whoever asked whether pictures can be stylized is told that they cannot, and why."""

    def __init__(self, state: EngineState) -> None:
        super().__init__(retry_after_s=2)
        self.state = state

    def __str__(self) -> str:
        return f"The service is {self.state.value}."


def check_ready(state: EngineState) -> None:
    """Refuse work unless an engine is ready.

    Raises
    ------
    LoadingError, DrainingError, EngineFailedError
        By state.
    """
    if state is EngineState.LOADING:
        raise LoadingError(retry_after_s=2)
    if state is EngineState.DRAINING:
        raise DrainingError(RETRY_AFTER_STOP_S)
    if state is EngineState.FAILED:
        raise EngineFailedError(retry_after_s=10)


class Engine(Protocol):
    """Stylizes pictures on one device, batching those of one size."""

    @property
    def state(self) -> EngineState:
        """What it can do now."""

    @property
    def device(self) -> str:
        """The device in words; empty while loading."""

    @property
    def fingerprint(self) -> str:
        """Of the network; empty while loading."""

    async def start(self) -> None:
        """Load the network, warm up, and be ready.

        Raises
        ------
        Exception
            Whatever kept it from loading; the state is then ``failed``.
        """

    def check_open(self) -> None:
        """Refuse at once what could not be admitted.

        Raises
        ------
        LoadingError, DrainingError, EngineFailedError, OverloadedError
            By state; the last, if not one pixel more would be admitted.
        """

    def admit(self, pixels: int) -> AbstractContextManager[None]:
        """Count a picture as under way until the context ends.

        Raises
        ------
        LoadingError, DrainingError, EngineFailedError, OverloadedError
            It is not admitted, and the context not entered.
        """

    async def stylize(self, levels: Levels, look: Look) -> Pastiche:
        """Stylize an admitted picture, (H, W, 3). Cancelling drops it from the queue.

        Raises
        ------
        EngineError
            Any of them.
        """

    async def paint(
        self, levels: Levels, look: Look, progress: Callable[[float], None]
    ) -> Pastiche:
        """Stylize a picture, (H, W, 3), that gives way to all others; not to be admitted.

        It waits until the fastest path is ready. Cancelling ends it within a band or so.

        Parameters
        ----------
        progress
            Told the share that is done, 0 to 1, on any thread; must be quick.

        Raises
        ------
        EngineError
            Any of them. When the engine drains, `DrainingError`, even if it runs.
        """

    def estimate_s(self, pixels: int) -> float:
        """Seconds that a picture of so many pixels takes here, alone.

        Raises
        ------
        LoadingError
            Nothing has been measured yet.
        """

    def drain(self) -> None:
        """Refuse what is new, answer what waits with `DrainingError`, finish what runs."""

    async def close(self) -> None:
        """Drain, and let go of the device."""
