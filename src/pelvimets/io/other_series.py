"""The series of a study that were not read: T2, other b-values, opposed phase; for the viewer."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from pelvimets.core.volume import Volume
from pelvimets.errors import InputError
from pelvimets.io.dicom.archive import ArchiveLimits
from pelvimets.io.dicom.joining import read_blend, with_joined
from pelvimets.io.dicom.pixels import read_trace
from pelvimets.io.dicom.scan import scan
from pelvimets.io.dicom.volume import DicomVolume
from pelvimets.io.dicom.volumes import volumes_of
from pelvimets.io.study import label_of, study_folder


class OtherSeries:
    """Every volume of a DICOM study, by its label; pixels are read when one is asked for.

    Args:
        path: Folder, DICOM file or zip. A zip lies unpacked until ``close``.

    Attributes:
        study_instance_uids: Of the studies found.

    Raises:
        ArchiveError, InputError, ResourceError: as when a study is read.
    """

    def __init__(self, path: Path) -> None:
        with ExitStack() as resources:
            scanned = scan(study_folder(path, ArchiveLimits(), resources))
            self.study_instance_uids = frozenset(
                frame.study_instance_uid for series in scanned.series for frame in series.frames
            )
            volumes = with_joined([v for series in scanned.series for v in volumes_of(series)])
            self._volumes = {label_of(v): v for v in volumes if _shows(v)}
            self._resources = resources.pop_all()

    @property
    def labels(self) -> tuple[str, ...]:
        """Number, description and b-value of each."""
        return tuple(self._volumes)

    def read(self, label: str) -> Volume:
        """The image, repeats and directions combined.

        Raises:
            InputError: if there is no such series, or its pixels cannot be decoded.
        """
        if label not in self._volumes:
            raise InputError("The study has no such series", got=label)
        volume = self._volumes[label]
        assert volume.facts.geometry is not None
        array = (
            read_blend(volume.blend, same_scale=False)
            if volume.blend
            else read_trace(volume.components)
        )
        return Volume(array, volume.facts.geometry)

    def close(self) -> None:
        """Remove what was unpacked."""
        self._resources.close()


def _shows(volume: DicomVolume) -> bool:
    facts = volume.facts
    return facts.geometry is not None and facts.unusable is None and facts.station_of == 1
