"""Charts as files for slides and papers; needs the extra `charts`, and loads it when a chart is due."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadgen.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from loadgen.store import Run

MEND = "pip install 'loadgen[charts]'"


def write_charts(run: Run, form: str, folder: Path) -> list[Path]:
    """Write every chart there is data for into a folder, made if it is not there, and give the paths.

    Args:
        run: The run to draw.
        form: `svg` or `png`.
        folder: Where to.

    Raises:
        ConfigError: matplotlib is not installed.
        OSError: the folder cannot be written.
    """
    try:
        # Half a second of imports, which no other command must pay.
        from loadgen.report import slide, slides  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(
            f"charts as files need matplotlib, which cannot be loaded ({error})", MEND
        ) from error
    folder.mkdir(parents=True, exist_ok=True)
    with slide.settings():
        return [slide.save(figure, folder / f"{name}.{form}") for name, figure in slides.draw(run)]
