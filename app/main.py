"""The application: parts, lifespan, middleware, routes."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, get_args

from fastapi import FastAPI

from app.engine.admission import Admission
from app.engine.local import LocalEngine
from app.engine.protocol import EngineError
from app.jobs.desk import Jobs
from app.jobs.errors import JobsUnavailableError
from app.jobs.files import jobs_folder
from app.jobs.job import JobState
from app.jobs.priority import PicturesUnderWay
from app.library import SharedLibrary
from app.metrics import Metrics
from app.pools import Pool
from app.routes import health, jobs, new_styles, pictures, reference, sizes, styles, stylize
from app.services import Services
from app.settings import Settings
from app.web.envelope import FORM_OVERHEAD_BYTES, RequestEnvelope
from app.web.errors import install_handlers
from app.web.page import Page
from app.web.schemas import Problem
from model.inference.device import choose_cpu_dtype
from model.inference.stylizer import Stylizer
from model.storage.assets import asset_folder
from model.storage.files import check_folder
from model.styles.library import StyleLibrary
from model.styles.prediction import NoPredictorError, open_predictor
from model.styles.predictor import StylePredictor

API_VERSION = "1"
LOOK_S = 15.0

_logger = logging.getLogger("pastiche")


class PasticheApp(FastAPI):
    """Describes the one shape of errors, which routes refer to by name."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document."""
        schema = super().openapi()
        schema["components"]["schemas"]["Problem"] = Problem.model_json_schema()
        settings: Settings = self.state.services.settings
        if settings.api_key is None:  # nothing asks for a key
            schema["components"].pop("securitySchemes", None)
        for path, operations in schema["paths"].items():
            for operation in operations.values():
                stylizes = path == stylize.PATH or path.startswith(pictures.PREFIX)
                open_ = stylizes and not settings.api_key_for_stylize
                if settings.api_key is None or open_:
                    operation.pop("security", None)
        return schema


def create_app(
    settings: Settings | None = None, on_failure: Callable[[], None] = lambda: None
) -> FastAPI:
    """The service as an ASGI application.

    Parameters
    ----------
    settings
        None: from the environment.
    on_failure
        Called when the network cannot be loaded or the device has failed for good; the process
        should then end and be started anew. May be called on any thread.
    """
    settings = settings or Settings()
    metrics = Metrics()
    precedence = PicturesUnderWay(jobs_folder(settings.data_dir))
    admission = Admission(
        settings.max_queue_requests,
        settings.max_queue_pixels,
        settings.deadline_s,
        precedence.count,
    )
    metrics.queue_requests.set_function(lambda: admission.requests)
    metrics.queue_pixels.set_function(lambda: admission.pixels)
    engine = LocalEngine(
        lambda: _load_stylizer(settings),
        admission,
        settings.batch_pixels,
        metrics,
        on_failure,
        lambda stylizer: stylizer.fast_paths(settings.precision, settings.compile == "auto"),
    )
    codec = Pool(settings.codec_threads, "codec")
    services = Services(settings, metrics, engine, codec, Jobs(settings))
    app = PasticheApp(
        title="Pastiche",
        summary="Photos in the style of paintings: one network, many styles, blended.",
        version=API_VERSION,
        lifespan=_lifespan(services, precedence, on_failure),
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.services = services
    app.add_middleware(
        RequestEnvelope,
        metrics=metrics,
        max_body_bytes=settings.max_upload_bytes + FORM_OVERHEAD_BYTES,
        accepted_hosts=settings.accepted_hosts,
    )
    install_handlers(app)
    for part in (stylize, pictures, sizes, styles, new_styles, jobs, health, reference):
        app.include_router(part.router)
    app.router.default = Page(_static_folder())
    return app


def _lifespan(
    services: Services, precedence: PicturesUnderWay, on_failure: Callable[[], None]
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        # In the background: liveness and "still loading" are answered from the first moment on.
        loading = asyncio.create_task(_load(services, on_failure))
        counting = asyncio.create_task(_keep_counts(services))
        painting = asyncio.create_task(services.painter.run())
        yield
        services.metrics.ready.set(0)
        counting.cancel()
        painting.cancel()
        await services.engine.close()
        await asyncio.gather(loading, counting, painting, return_exceptions=True)
        services.close()
        precedence.close()

    return lifespan


async def _load(services: Services, on_failure: Callable[[], None]) -> None:
    try:
        await services.library_pool.run(check_folder, services.settings.data_dir / "styles")
        await services.engine.start()
        services.predictor = await services.library_pool.run(_open_predictor, services)
        services.library = await services.library_pool.run(_open_library, services)
    except NotADirectoryError as error:
        _logger.critical("the data folder cannot be used: %s", error)
        on_failure()
    except (ValueError, OSError, EngineError) as error:
        _logger.critical("the network cannot be loaded: %s", error)
        on_failure()
    except Exception:
        _logger.critical("the network cannot be loaded", exc_info=True)
        on_failure()
    else:
        library = services.library
        services.metrics.styles.set_function(lambda: len(library))
        services.metrics.ready.set(1)
        _logger.info(
            "ready",
            extra={"device": services.engine.device, "styles": len(library)},
        )


async def _keep_counts(services: Services) -> None:
    """Keep the metrics of jobs and styles; disk and database are asked now and then alone.

    Jobs bring styles, from another process.
    """
    states = get_args(JobState)
    while True:
        try:
            if services.library is not None:
                await services.library_pool.run(services.library.refresh)
            found = Counter(job.state for job in await services.jobs_pool.run(services.jobs.all))
        except JobsUnavailableError:
            pass  # it is in the log; the last figures stand
        except Exception:  # whatever it was, the metrics go on
            _logger.warning("jobs and styles cannot be counted", exc_info=True)
        else:
            for state in states:
                services.metrics.jobs.labels(state).set(found[state])
        await asyncio.sleep(LOOK_S)


def _load_stylizer(settings: Settings) -> Stylizer:
    return Stylizer.load(settings.weights_dir, settings.device, settings.whole_pixels)


def _open_library(services: Services) -> SharedLibrary:
    settings = services.settings
    library = StyleLibrary(
        settings.weights_dir / "styles", services.engine.fingerprint, settings.data_dir / "styles"
    )
    for id_, problem in library.problems.items():
        _logger.warning("a style is left out", extra={"style": id_, "problem": problem})
    return SharedLibrary(library, jobs_folder(settings.data_dir))


def _open_predictor(services: Services) -> StylePredictor | str:
    settings = services.settings
    dtype = choose_cpu_dtype(settings.precision)
    try:
        return open_predictor(settings.weights_dir, services.engine.fingerprint, dtype)
    except NoPredictorError as error:
        _logger.warning("new styles do not work at once: %s", error)
        return str(error)


def _static_folder() -> Path | None:
    try:
        return asset_folder("static")
    except FileNotFoundError:
        return None
