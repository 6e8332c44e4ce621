"""ADC maps in the unit that their header declares: real world values before rescaled ones."""

from __future__ import annotations

from dataclasses import replace

from pelvimets.core.adc import declared_factor
from pelvimets.io.dicom.frames import Frame, RealWorld
from pelvimets.io.dicom.volume import DicomVolume


def in_declared_unit(volume: DicomVolume) -> tuple[DicomVolume, str]:
    """The map with the rescaling that leads to a unit of ADC, and that unit as it is written."""
    (frames,) = volume.components
    used = (*frames, *(frame for picks in volume.blend for frame, _ in picks))
    mappings = [_adc_mapping(frame) for frame in used]
    units = {None if mapping is None else mapping.unit for mapping in mappings}
    unit = units.pop()
    if unit is None or units:
        return volume, frames[0].rescale_type
    blend = tuple(
        tuple((_mapped(frame), weight) for frame, weight in picks) for picks in volume.blend
    )
    components = (tuple(_mapped(frame) for frame in frames),)
    return replace(volume, components=components, blend=blend), unit


def _adc_mapping(frame: Frame) -> RealWorld | None:
    known = (m for m in frame.real_world if declared_factor(m.unit) is not None)
    return next(known, None)


def _mapped(frame: Frame) -> Frame:
    mapping = _adc_mapping(frame)
    assert mapping is not None
    return replace(frame, slope=mapping.slope, intercept=mapping.intercept)
