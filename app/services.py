"""What a running application consists of, and how a route comes by it."""

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from app.decoding import Decoders
from app.engine.protocol import Engine, EngineState, LoadingError
from app.jobs.desk import Jobs
from app.library import SharedLibrary
from app.metrics import Metrics
from app.pictures.desk import Pictures
from app.pictures.painter import Painter
from app.pools import Pool, Seats
from app.settings import Settings
from model.styles.prediction import NoPredictorError
from model.styles.predictor import StylePredictor

MAX_WATCHERS = 200


@dataclass
class Services:
    """One application's parts, made by `app.main.create_app`.

    Parameters
    ----------
    codec_pool
        Encodes pictures.
    jobs
        Styles being learned, by another process.
    header_pool
        Reads the sizes of pictures: quick, so that a refusal never waits behind a decoder.
    library_pool
        The library, one call at a time.
    jobs_pool
        The jobs: a database that hangs holds up nothing else.
    pictures_pool
        Large pictures on disk: a disk that hangs holds up nothing else.
    decoders
        Decode uploads, in turns.
    pictures, painter
        Large pictures: where they are kept, and what paints them.
    watchers
        Seats of clients that watch a job.
    library
        None until the network is loaded: a style belongs to one network.
    predictor
        The predictor of the network; else why there is none.
    prediction_pool
        Predicts styles, one at a time: the cores are those of the pictures.
    """

    settings: Settings
    metrics: Metrics
    engine: Engine
    codec_pool: Pool
    jobs: Jobs
    header_pool: Pool = field(default_factory=lambda: Pool(1, "header"))
    library_pool: Pool = field(default_factory=lambda: Pool(1, "library"))
    jobs_pool: Pool = field(default_factory=lambda: Pool(2, "jobs"))
    library: SharedLibrary | None = None
    predictor: StylePredictor | str = "the network is not loaded yet"
    prediction_pool: Pool = field(default_factory=lambda: Pool(1, "prediction"))
    watchers: Seats = field(default_factory=lambda: Seats(MAX_WATCHERS))
    pictures_pool: Pool = field(default_factory=lambda: Pool(2, "pictures"))
    decoders: Decoders = field(init=False)
    pictures: Pictures = field(init=False)
    painter: Painter = field(init=False)

    def __post_init__(self) -> None:
        settings = self.settings
        self.decoders = Decoders(
            settings.codec_threads,
            settings.max_pixels,
            settings.max_queue_requests,
            settings.deadline_s,
        )
        self.pictures = Pictures(settings, self.engine.estimate_s)
        self.painter = Painter(
            self.pictures,
            self.engine,
            self.decoders,
            self.codec_pool,
            self.pictures_pool,
            settings.picture_limits,
            self.metrics.count_pictures,
        )

    @property
    def styles(self) -> SharedLibrary:
        """The library.

        Raises
        ------
        LoadingError
            The network is not loaded yet.
        """
        if self.library is None:
            raise LoadingError(retry_after_s=2)
        return self.library

    def find_predictor(self) -> StylePredictor:
        """What predicts styles.

        Raises
        ------
        LoadingError
            The network is not loaded yet.
        NoPredictorError
            This network has none.
        """
        if self.library is None:
            raise LoadingError(retry_after_s=2)
        if isinstance(self.predictor, str):
            raise NoPredictorError(self.predictor)
        return self.predictor

    @property
    def ending(self) -> bool:
        """Whether the server is on its way out: nothing new will come of what is watched."""
        return self.engine.state in (EngineState.DRAINING, EngineState.FAILED)

    def close(self) -> None:
        """Let go of all threads but the engine's."""
        self.decoders.close()
        for pool in (
            *(self.codec_pool, self.header_pool, self.library_pool),
            *(self.jobs_pool, self.prediction_pool, self.pictures_pool),
        ):
            pool.close()
        self.jobs.close()


def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


InjectedServices = Annotated[Services, Depends(_services)]
