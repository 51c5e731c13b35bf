"""Every error of the house and the HTTP answer that a client is given for it."""

from collections.abc import Mapping

from app.engine.protocol import (
    DeadlineError,
    DrainingError,
    EngineFailedError,
    LoadingError,
    NotReadyError,
    OutOfMemoryError,
    OverloadedError,
)
from app.jobs.errors import (
    JobsDiskFullError,
    JobsUnavailableError,
    KeyReusedError,
    NoPreviewYetError,
    QueueFullError,
    UnknownJobError,
)
from app.library_errors import (
    BuiltInIdError,
    BuiltInStyleError,
    NoPaintingError,
    NoSourceError,
    NoStylePreviewError,
    NoSuchStyleError,
    RetuneFirstError,
    RetuneNotNeededError,
)
from app.pictures.errors import (
    NoPicturePreviewError,
    NoResultError,
    PicturesFullError,
    UnknownPictureError,
)
from app.pools import NoSeatError
from model.pictures.limits import (
    EmptyPictureError,
    PictureError,
    PictureTooLargeError,
    UndecodablePictureError,
    UnsupportedFormatError,
)
from model.pictures.style_picture import UnfitPictureError
from model.styles.prediction import NoPredictorError
from model.styles.style import (
    ForeignStyleError,
    OutdatedStyleError,
    StyleError,
    UnknownStyleError,
)

# Status and code of each error of the house, and the words for people: none, the error's own. An
# error that is not here is answered like its nearest parent.
ANSWERS: Mapping[type[Exception], tuple[int, str, str | None]] = {
    EmptyPictureError: (422, "empty_picture", None),
    UnsupportedFormatError: (415, "unsupported_format", None),
    UndecodablePictureError: (422, "undecodable_picture", None),
    PictureTooLargeError: (422, "picture_too_large", None),
    UnfitPictureError: (422, "unfit_picture", None),
    PictureError: (422, "unusable_picture", None),
    OverloadedError: (429, "overloaded", "The queue is full."),
    LoadingError: (503, "loading", "The network is still being loaded."),
    DrainingError: (503, "draining", "The server is shutting down."),
    DeadlineError: (
        503,
        "deadline",
        "The picture was not finished within the time allowed; POST /v1/pictures takes large ones.",
    ),
    OutOfMemoryError: (503, "out_of_memory", "The device has too little memory for this picture."),
    MemoryError: (503, "out_of_memory", "The server has too little memory for this now."),
    EngineFailedError: (503, "device_failed", "The device has failed; the server restarts."),
    NotReadyError: (503, "not_ready", None),
    NoSeatError: (503, "too_many_streams", "Too many clients watch jobs or pictures already."),
    OutdatedStyleError: (
        422,
        "needs_retune",
        "The style was learned for another network; it needs a retune.",
    ),
    ForeignStyleError: (422, "foreign_style", "The style belongs to another network."),
    UnknownStyleError: (422, "unknown_style", "There is no style of this id."),
    StyleError: (422, "invalid_style", None),
    NoPredictorError: (409, "no_predictor", "This server predicts no styles; have it learned."),
    NoSuchStyleError: (404, "unknown_style", None),
    NoStylePreviewError: (404, "no_preview", None),
    NoPaintingError: (404, "no_painting", None),
    BuiltInStyleError: (403, "built_in_style", None),
    BuiltInIdError: (409, "built_in_style", None),
    RetuneFirstError: (409, "needs_retune", None),
    RetuneNotNeededError: (409, "retune_not_needed", None),
    NoSourceError: (409, "no_source", None),
    UnknownPictureError: (404, "unknown_picture", None),
    NoPicturePreviewError: (404, "no_preview", None),
    NoResultError: (409, "no_result", None),
    PicturesFullError: (429, "too_many_pictures", None),
    UnknownJobError: (404, "unknown_job", None),
    NoPreviewYetError: (404, "no_preview", None),
    QueueFullError: (429, "too_many_jobs", None),
    KeyReusedError: (
        422,
        "idempotency_key_reused",
        "The Idempotency-Key belongs to another request.",
    ),
    JobsUnavailableError: (503, "jobs_unavailable", None),
    JobsDiskFullError: (507, "disk_full", None),
}
