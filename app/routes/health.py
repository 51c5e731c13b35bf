"""Liveness, readiness, metrics: never queued, never off the event loop."""

from fastapi import APIRouter, Response

from app.engine.protocol import EngineState, NotReadyError
from app.metrics import METRICS_TYPE
from app.services import InjectedServices
from app.web.errors import problem_responses
from app.web.schemas import Health, Readiness

router = APIRouter(tags=["operation"])


@router.get("/healthz", summary="Liveness")
async def healthz() -> Health:
    """The process lives."""
    return Health()


@router.get("/readyz", summary="Readiness", responses=problem_responses(503))
async def readyz(services: InjectedServices) -> Readiness:
    """Network loaded, warm-up output finite, device usable; 503 while loading or draining."""
    engine = services.engine
    if engine.state is not EngineState.READY or services.library is None:
        state = engine.state if engine.state is not EngineState.READY else EngineState.LOADING
        raise NotReadyError(state)
    predictor = services.predictor
    return Readiness(
        device=engine.device,
        network=engine.fingerprint,
        styles=len(services.library),
        predictor="ready" if not isinstance(predictor, str) else predictor,
    )


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics(services: InjectedServices) -> Response:
    """Requests, queue, batches, pixels, refusals."""
    return Response(services.metrics.render(), media_type=METRICS_TYPE)
