"""Settings: from the environment, checked, and documented."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from app.settings import Settings
from model.pictures.limits import PictureLimits

TABLE = Path(__file__).parent.parent / "docs" / "settings.md"
MACHINE_DEPENDENT = {"data_dir", "weights_dir", "codec_threads"}


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"PASTICHE_{name.upper()}", raising=False)
    return monkeypatch


def rows() -> dict[str, list[str]]:
    lines = [line for line in TABLE.read_text().splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]
    return {row[0]: row[1:] for row in cells}


def test_the_table_is_complete_and_right() -> None:
    assert list(rows()) == list(Settings.model_fields)
    for name, (variable, flag, default, what) in rows().items():
        field = Settings.model_fields[name]
        assert variable == f"`PASTICHE_{name.upper()}`"
        assert flag == f"`--{name.replace('_', '-')}`"
        assert what == field.description
        if name not in MACHINE_DEPENDENT:
            unset = field.default is None or field.default == ""
            shown = str(field.default)
            shown = shown.lower() if isinstance(field.default, bool) else shown
            assert default == ("unset" if unset else f"`{shown}`")


@pytest.mark.usefixtures("clean")
def test_defaults_agree_with_the_library_s() -> None:
    assert Settings().picture_limits == PictureLimits()


def test_every_setting_comes_from_the_environment(
    clean: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clean.setenv("PASTICHE_PORT", "9000")
    clean.setenv("PASTICHE_DATA_DIR", str(tmp_path))
    clean.setenv("PASTICHE_API_KEY", "long-enough")
    clean.setenv("PASTICHE_ALLOWED_HOSTS", "a.example,b.example")
    settings = Settings()
    assert settings.port == 9000
    assert settings.data_dir == tmp_path
    assert settings.api_key is not None
    assert settings.api_key.get_secret_value() == "long-enough"
    assert "long-enough" not in repr(settings)
    assert settings.accepted_hosts == {"a.example", "b.example"}
    assert Settings(port=9001).port == 9001, "a flag wins"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "70000"), ("port", "x"), ("max_upload_bytes", "0"), ("max_pixels", "10**9"),
        ("max_pixels", "999999999"), ("deadline_s", "0"), ("deadline_s", "nan"),
        ("deadline_s", "inf"), ("max_aspect", "0.5"), ("api_key", "short"), ("log_format", "xml"),
        ("batch_pixels", "0"), ("codec_threads", "0"), ("worker_nice", "20"), ("max_jobs", "0"),
    ],
)  # fmt: skip
def test_bad_values_are_refused(clean: pytest.MonkeyPatch, name: str, value: str) -> None:
    clean.setenv(f"PASTICHE_{name.upper()}", value)
    with pytest.raises(ValidationError):
        Settings()


def test_data_folder_follows_the_convention(clean: pytest.MonkeyPatch, tmp_path: Path) -> None:
    clean.setenv("XDG_DATA_HOME", str(tmp_path))
    assert Settings().data_dir == tmp_path / "pastiche"
