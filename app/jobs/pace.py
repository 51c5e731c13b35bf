"""How fast styles are learned on this machine, kept from one job to the next."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from app.jobs.job import Job
from model.storage.files import write_atomically
from model.styles.options import STEPS_FROM_ROW, TRAINING_STEPS

WEIGHT_OF_LAST: Final = 0.5  # of the last job, against all before


class LearningPace:
    """Seconds per training step, as measured here.

    Parameters
    ----------
    jobs
        The folder of jobs.
    """

    def __init__(self, jobs: Path) -> None:
        self._path = jobs / "pace.json"

    @property
    def seconds_per_step(self) -> float | None:
        """None before anything was learned here, or where it cannot be read."""
        try:
            found = json.loads(self._path.read_bytes())["seconds_per_step"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return float(found) if isinstance(found, int | float) and 0 < found < 1e6 else None

    def note(self, seconds_per_step: float) -> None:
        """Take in what a job took; where that cannot be stored, the next estimate is older."""
        before = self.seconds_per_step
        if before is not None:
            seconds_per_step = WEIGHT_OF_LAST * seconds_per_step + (1 - WEIGHT_OF_LAST) * before
        with suppress(OSError):
            data = json.dumps({"seconds_per_step": round(seconds_per_step, 4)})
            write_atomically(self._path, data.encode())


def estimate(jobs: Sequence[Job], steps: Mapping[str, int | None], pace: LearningPace) -> list[Job]:
    """The jobs, those that wait with the seconds until they are done, about.

    Parameters
    ----------
    jobs
        Newest first.
    steps
        That each was asked to take, by id; none, the default.
    pace
        As measured here; before it is known, nothing is.
    """
    seconds_per_step = pace.seconds_per_step
    if seconds_per_step is None:
        return list(jobs)
    estimated, ahead = [], 0.0
    for job in reversed(jobs):  # the oldest comes first
        if not job.finished and job.eta_s is None and job.reason is None:
            default = STEPS_FROM_ROW if job.kind == "improve" else TRAINING_STEPS.default
            left = seconds_per_step * (job.steps or steps.get(job.id) or default)
            job = replace(job, eta_s=round(ahead + left, 1))
        if not job.finished:
            ahead = max(ahead, job.eta_s or 0.0)
        estimated.append(job)
    return estimated[::-1]
