"""Tables, figures and pictures of an evaluation on disk, and the store of measured cases."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from pelvimets.errors import InputError, OutputError, reason, shown
from pelvimets.evaluation.measures.case import CaseResult
from pelvimets.evaluation.tables.table import Table
from pelvimets.io.record.output import write_bytes, write_json, write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURE_KINDS = ("svg", "pdf", "png")
_PNG_DPI, _PNG_EFFORT = 300, 2
_PIXELATED = b"image-rendering:crisp-edges;image-rendering:pixelated"


def write_tables(folder: Path, tables: Sequence[Table]) -> None:
    """Write each table as CSV, HTML and LaTeX.

    Raises:
        OutputError: if a file cannot be written.
    """
    _make(folder)
    for table in tables:
        write_text(folder / f"{table.key}.csv", table.to_csv())
        write_text(folder / f"{table.key}.html", table.to_html())
        write_text(folder / f"{table.key}.tex", table.to_latex())


def figure_bytes(figure: Figure, kind: str) -> bytes:
    """A figure as the content of an SVG, PDF or PNG file; same figure, same bytes."""
    stream = io.BytesIO()
    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {"Software": None}}
    more: dict[str, Any] = {"pil_kwargs": {"compress_level": _PNG_EFFORT}} if kind == "png" else {}
    figure.savefig(stream, format=kind, dpi=_PNG_DPI, metadata=metadata[kind], **more)
    # pictures may be scaled smoothly: of a thin line, a pixelated one loses parts
    return stream.getvalue().replace(_PIXELATED, b"") if kind == "svg" else stream.getvalue()


def write_figures(folder: Path, figures: Mapping[str, Figure]) -> dict[str, dict[str, bytes]]:
    """Write each figure as SVG, PDF and PNG.

    Returns:
        The content of the files by figure and kind.

    Raises:
        OutputError: if a file cannot be written.
    """
    _make(folder)
    written: dict[str, dict[str, bytes]] = {}
    for name, figure in figures.items():
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # laid out once, not once per file
        written[name] = {kind: figure_bytes(figure, kind) for kind in FIGURE_KINDS}
        for kind, content in written[name].items():
            write_bytes(folder / f"{name}.{kind}", content)
    return written


def read_figure(folder: Path, name: str, kind: str = "svg") -> bytes | None:
    """Content of a figure written before, or None."""
    path = folder / f"{name}.{kind}"
    return path.read_bytes() if path.is_file() else None


def write_picture(path: Path, picture: npt.NDArray[np.uint8]) -> None:
    """Write an RGB picture (height, width, 3) as PNG.

    Raises:
        OutputError: if it cannot be written.
    """
    _make(path.parent)
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, format="PNG", compress_level=_PNG_EFFORT)
    write_bytes(path, stream.getvalue())


def read_picture(path: Path) -> npt.NDArray[np.uint8]:
    """Read an RGB picture (height, width, 3).

    Raises:
        InputError: if it cannot be read.
    """
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except OSError as error:
        raise InputError(
            "The picture cannot be read", got=f"{shown(path)}: {reason(error)}"
        ) from error


class CaseStore:
    """Measured patients on disk, so that an interrupted evaluation goes on where it stopped.

    Args:
        folder: Where the store lies; made when the first case is kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    def pictures(self) -> Path:
        """Folder of the patients' pictures."""
        return self.folder / "overlays"

    def copy_picture(self, name: str, folder: Path) -> bool:
        """Copy a picture into a folder; False if there is none of that name."""
        if not (self.pictures() / name).is_file():
            return False
        _make(folder)
        shutil.copyfile(self.pictures() / name, folder / name)
        return True

    def clear(self) -> None:
        """Remove the store."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def load(self, patient: str, key: str) -> CaseResult | None:
        """A patient kept under the same key, or None."""
        try:
            data = json.loads(self._path(patient).read_text(encoding="utf-8"))
            return CaseResult.from_dict(data["case"]) if data["key"] == key else None
        except (OSError, ValueError, KeyError, TypeError):
            return None  # absent, damaged or of another version: measured anew

    def keep(self, case: CaseResult, key: str) -> None:
        """Keep a patient.

        Raises:
            OutputError: if it cannot be written.
        """
        _make(self.folder)
        write_json(self._path(case.patient), {"key": key, "case": case.to_dict()})

    def _path(self, patient: str) -> Path:
        return self.folder / f"{patient}.json"


def read_results(path: Path) -> dict[str, Any]:
    """Read ``results.json`` of an evaluation, from its folder or the file itself.

    Raises:
        InputError: if there is none or it cannot be read.
    """
    path = Path(path)
    file = path / "results.json" if path.is_dir() else path
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            "The results cannot be read",
            got=f"{shown(file)}: {reason(error)}",
            remedy="Give the output folder of 'pelvimets evaluate'",
        ) from error
    if not isinstance(data, dict) or "voxel" not in data:
        raise InputError("The file holds no results of an evaluation", got=file)
    return data


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError("The folder cannot be created", got=reason(error)) from error
