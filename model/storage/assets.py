"""Where the shipped files lie: beside the packages in a checkout, in the wheel once installed."""

from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]


def asset_folder(name: str) -> Path:
    """The folder ``weights`` or ``static``, from any working directory.

    Raises
    ------
    FileNotFoundError
        Neither a checkout nor an installed wheel holds it.
    """
    for folder in (_ROOT / "pastiche_assets" / name, _ROOT / name):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"no folder {name!r} beside {_ROOT}: the installation is incomplete")
