"""Settings: each is an environment variable ``PASTICHE_*`` and a flag of ``pastiche serve``."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from model.storage.assets import asset_folder

if TYPE_CHECKING:
    from model.pictures.limits import PictureLimits

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")


def default_data_dir() -> Path:
    """Where a user's own styles lie, by the XDG convention."""
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "pastiche"


class Settings(BaseSettings):
    """All settings of the service; ``docs/settings.md`` is the same list as a table."""

    model_config = SettingsConfigDict(
        env_prefix="PASTICHE_",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        allow_inf_nan=False,
    )

    host: str = Field(default="127.0.0.1", description="Address to listen on; 0.0.0.0 for all.")
    port: int = Field(
        default=8000, ge=0, le=65_535, description="Port to listen on; 0 takes a free one."
    )
    device: str = Field(
        default="auto", description="auto (a GPU when there is one), cpu, cuda or cuda:1."
    )
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        default="auto",
        description="Of inference: auto (the fastest that agrees with float32), float32, bfloat16, "
        "or float16 on a GPU.",
    )
    compile: Literal["auto", "off"] = Field(
        default="auto",
        description="auto (for a GPU, in the background) or off.",
    )
    data_dir: Path = Field(
        default_factory=default_data_dir,
        description="Folder of users' styles, of jobs and of large pictures.",
    )
    weights_dir: Path = Field(
        default_factory=lambda: asset_folder("weights"),
        description="Folder of the network and the built-in styles.",
    )

    max_upload_bytes: int = Field(
        default=25_000_000, ge=1, description="Largest upload; larger ones answer 413."
    )
    max_pixels: int = Field(
        default=50_000_000,
        ge=1,
        le=80_000_000,
        description="Most pixels of an upload once decoded.",
    )
    max_aspect: float = Field(
        default=100.0,
        ge=1,
        description="Longest side over shortest, of pictures with a side over 4,096 px.",
    )
    max_side: int = Field(
        default=2048,
        ge=16,
        le=65_500,
        description="Longest side of a result in px; larger are shrunk to it.",
    )

    max_queue_requests: int = Field(
        default=128, ge=1, description="Most requests under way; past it, 429."
    )
    max_queue_pixels: int = Field(
        default=64_000_000, ge=1, description="Most pixels under way; past it, 429."
    )
    batch_pixels: int | None = Field(
        default=None,
        ge=1,
        description="Most pixels of a batch; unset: 8,000,000 on a GPU that holds as much, "
        "300,000 on CPU.",
    )
    whole_pixels: int | None = Field(
        default=None,
        ge=1,
        description="Most pixels of a picture stylized whole, larger ones in pieces; unset: "
        "8,000,000 on CPU, by memory on a GPU.",
    )
    deadline_s: float = Field(
        default=30.0, gt=0, description="Seconds from a whole upload to its answer; past it, 503."
    )
    codec_threads: int = Field(
        default_factory=lambda: max(2, min(8, os.cpu_count() or 2)),
        ge=1,
        le=64,
        description="Threads that decode and encode pictures.",
    )

    worker: bool = Field(
        default=True, description="Whether serve starts a worker, which learns new styles."
    )
    worker_nice: int = Field(
        default=15, ge=0, le=19, description="How far training stands back, 0 to 19, on Linux."
    )
    max_jobs: int = Field(
        default=16, ge=1, description="Most styles being learned or waiting for it; past it, 429."
    )
    max_pictures: int = Field(
        default=8, ge=1, description="Most large pictures waiting or being painted; past it, 429."
    )
    max_pictures_bytes: int = Field(
        default=4_000_000_000,
        ge=1,
        description="Most bytes of data_dir that large pictures take; past it, 429.",
    )
    pictures_kept_s: float = Field(
        default=3600.0,
        gt=0,
        le=3600,
        description="Seconds after which a large picture, its photo and its result are deleted.",
    )
    database_url: SecretStr | None = Field(
        default=None,
        description="Postgres for the jobs, postgresql://...; unset: SQLite in data_dir.",
    )

    header_timeout_s: float = Field(
        default=10.0, gt=0, description="Seconds in which a client must send a request's headers."
    )
    body_timeout_s: float = Field(
        default=20.0,
        gt=0,
        description="Seconds for a request's body, plus its bytes over min_upload_rate.",
    )
    min_upload_rate: int = Field(
        default=50_000, ge=1, description="Bytes per second below which a client is too slow."
    )
    grace_s: float = Field(
        default=20.0,
        gt=0,
        description="Seconds from SIGTERM to the end; what runs may finish in it.",
    )

    api_key: SecretStr | None = Field(
        default=None,
        min_length=8,
        description="Guards the calls that change styles (header X-API-Key).",
    )
    api_key_for_stylize: bool = Field(
        default=False, description="Whether the key guards POST /v1/stylize as well."
    )
    allowed_hosts: str = Field(
        default="",
        description="Accepted Host names, comma-separated; unset: loopback names when listening "
        "on loopback, else any.",
    )

    log_format: Literal["text", "json"] = Field(default="text", description="Format of the logs.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe messages to log."
    )

    @property
    def picture_limits(self) -> "PictureLimits":
        """What is decoded."""
        # Brings PyTorch, which --help can do without.
        from model.pictures.limits import PictureLimits

        return PictureLimits(self.max_pixels, self.max_aspect)

    @property
    def accepted_hosts(self) -> frozenset[str] | None:
        """Names that a request may be addressed to, without port; none, any.

        Bound to loopback, only loopback's names: a foreign page that points its own name at
        127.0.0.1 (DNS rebinding) reaches nothing.
        """
        if self.allowed_hosts:
            names = (name.strip().lower() for name in self.allowed_hosts.split(","))
            return frozenset(name for name in names if name)
        if self.host in ("localhost", "::1") or self.host.startswith("127."):
            return frozenset({*LOOPBACK_HOSTS, self.host})
        return None
