"""What a report says, before it becomes HTML or PDF."""

from __future__ import annotations

from dataclasses import dataclass

from pelvimets.core.findings import (
    BoneMasks,
    BonePart,
    Findings,
    FlagLevel,
    Lesion,
    LesionMasks,
    QualityFlag,
    SequenceFindings,
)
from pelvimets.core.study import Acquisition, Study
from pelvimets.labels import Sequence
from pelvimets.report.data import RESEARCH_USE, suspicion_wording
from pelvimets.report.pictures import Picture, axial_overlay, middle_overlay, overview


@dataclass(frozen=True)
class Table:
    """A table of text; ``numeric`` names the columns set flush right."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[str, ...] = ()
    empty: str = ""


@dataclass(frozen=True)
class LesionCard:
    """One lesion with a picture on each sequence that shows it."""

    number: int
    title: str
    facts: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Provenance:
    """Where a result comes from, as printed at the end of a report."""

    version: str
    bundle: str
    created: str
    reviewed: str = ""


@dataclass(frozen=True)
class ReportContent:
    """All of a report as plain data, in the order in which it is printed.

    ``level`` is ``suspicious``, ``none`` or ``review`` and decides the colour of the statement.
    """

    title: str
    notice: str
    header: tuple[tuple[str, str], ...]
    statement: str
    statement_detail: str
    level: str
    flags: tuple[tuple[str, str], ...]
    overviews: tuple[Picture, ...]
    lesions: Table
    cards: tuple[LesionCard, ...]
    burden: Table
    series: Table
    provenance: tuple[tuple[str, str], ...]


def report_content(
    study: Study,
    bones: BoneMasks,
    lesions: LesionMasks,
    findings: Findings,
    provenance: Provenance,
) -> ReportContent:
    """Gather what the report of a study says and shows."""
    return ReportContent(
        title="Bone metastases on pelvic MRI",
        notice=f"{RESEARCH_USE} {findings.learned_from.words}",
        header=_header(study),
        statement=suspicion_wording(findings),
        statement_detail=_statement_detail(findings),
        level=_level(findings),
        flags=tuple((flag.level.value, _flag_text(flag)) for flag in findings.flags),
        overviews=_overviews(study, bones, lesions),
        lesions=_lesion_table(findings),
        cards=_cards(study, bones, lesions, findings),
        burden=_burden_table(findings),
        series=_series_table(study),
        provenance=_provenance(provenance),
    )


def _level(findings: Findings) -> str:
    if not findings.reliable:
        return FlagLevel.REVIEW.value
    return "suspicious" if findings.m1_suspected else "none"


def _statement_detail(findings: Findings) -> str:
    scores = ", ".join(
        f"{s.title} {found.patient_score:.2f}" for s, found in findings.sequences.items()
    )
    count = len(findings.lesions)
    lesions = "no lesion" if count == 0 else f"{count} lesion{'s' if count > 1 else ''}"
    field = "the part of the field that was read" if findings.partly_read else "the scanned field"
    return (
        f"{lesions} listed; score {findings.patient_score:.2f} ({scores}), on a scale of 0 to 1. "
        f"Bones outside {field} were not seen; this is no statement on the M stage "
        "of the patient as a whole."
    )


def _flag_text(flag: QualityFlag) -> str:
    return f"{flag.sequence.title}: {flag.message}" if flag.sequence else flag.message


def _header(study: Study) -> tuple[tuple[str, str], ...]:
    rows = [("Study", study.patient_key)]
    for sequence in Sequence:
        acquisition = study.sequence(sequence)
        rows.append((sequence.title, _described(acquisition) if acquisition else "not available"))
    rows.append(("ADC map", study.adc.label if study.adc else "not available"))
    rows.extend(("Note", note) for note in study.notes)
    return tuple(rows)


def _described(acquisition: Acquisition) -> str:
    z, y, x = acquisition.volume.geometry.spacing
    facts = [acquisition.label]
    if acquisition.b_value_s_per_mm2 is not None:
        facts.append(f"b {acquisition.b_value_s_per_mm2:.0f} s/mm2")
    if acquisition.echo_time_ms is not None:
        facts.append(f"TE {acquisition.echo_time_ms:.1f} ms")
    if acquisition.field_strength_t is not None:
        facts.append(f"{acquisition.field_strength_t:.1f} T")
    slices, rows, columns = acquisition.volume.geometry.shape
    facts.append(f"{slices} x {rows} x {columns} voxels of {z:.1f} x {y:.2f} x {x:.2f} mm")
    facts.extend(acquisition.notes)
    return "; ".join(facts)


def _overviews(study: Study, bones: BoneMasks, lesions: LesionMasks) -> tuple[Picture, ...]:
    pictures = []
    for sequence in study.sequences:
        acquisition = study.sequence(sequence)
        if acquisition is None or sequence not in bones.by_sequence:
            continue
        mask, spots = bones.by_sequence[sequence], lesions.by_sequence[sequence]
        for view in ("coronal", "sagittal"):
            pictures.append(overview(mask, spots, view, f"{sequence.title}, {view}, projection"))
            pictures.append(
                middle_overlay(
                    acquisition.volume, mask, spots, view, f"{sequence.title}, {view}, cut"
                )
            )
    return tuple(pictures)


def _lesion_table(findings: Findings) -> Table:
    numeric = ("No.", "Volume, cm3", "Diameter, mm", "ADC mean", "ADC median", "Score")
    return Table(
        title="Lesions",
        columns=(
            "No.",
            "Bone",
            "Side",
            "Seen on",
            *numeric[1:],
        ),
        rows=tuple(_lesion_row(lesion) for lesion in findings.lesions),
        numeric=numeric,
        empty="No lesion of at least the smallest size was found on the sequences read.",
    )


def _lesion_row(lesion: Lesion) -> tuple[str, ...]:
    return (
        str(lesion.number),
        lesion.part.bone.title,
        lesion.part.side.value,
        " + ".join(s.title for s in lesion.sequences),
        f"{lesion.volume_cm3:.2f}",
        f"{lesion.largest_axial_diameter_mm:.0f}",
        _or_dash(lesion.adc_mean_um2_per_s),
        _or_dash(lesion.adc_median_um2_per_s),
        f"{lesion.score:.2f}",
    )


def _or_dash(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def _cards(
    study: Study, bones: BoneMasks, lesions: LesionMasks, findings: Findings
) -> tuple[LesionCard, ...]:
    return tuple(_card(study, bones, lesions, lesion) for lesion in findings.lesions)


def _card(study: Study, bones: BoneMasks, lesions: LesionMasks, lesion: Lesion) -> LesionCard:
    first = lesion.seen_on[lesion.sequences[0]]
    pictures = []
    for sequence in study.sequences:
        acquisition = study.sequence(sequence)
        if acquisition is None or sequence not in bones.by_sequence:
            continue
        seen = lesion.seen_on.get(sequence)
        centre = (seen or first).centre_lps_mm
        caption = sequence.title if seen else f"{sequence.title} (not found here)"
        pictures.append(
            axial_overlay(
                acquisition.volume,
                bones.by_sequence[sequence],
                lesions.by_sequence[sequence],
                centre,
                caption,
            )
        )
    facts = f"{lesion.volume_cm3:.2f} cm3, {lesion.largest_axial_diameter_mm:.0f} mm"
    if lesion.adc_mean_um2_per_s is not None:
        facts += f", ADC {lesion.adc_mean_um2_per_s:.0f} um2/s"
    return LesionCard(lesion.number, lesion.part.title, facts, tuple(pictures))


def _burden_table(findings: Findings) -> Table:
    sequences = tuple(findings.sequences)
    parts = sorted(
        {b.part for found in findings.sequences.values() for b in found.burden},
        key=lambda part: (part.bone, part.side.value),
    )
    measures = ("bone, cm3", "lesion, cm3", "share")
    columns = tuple(f"{s.title}: {measure}" for s in sequences for measure in measures)
    rows = tuple(
        (
            part.title,
            *(cell for s in sequences for cell in _burden_cells(findings.sequences[s], part)),
        )
        for part in parts
    )
    return Table("Burden per bone", ("Structure", *columns), rows, numeric=columns)


def _burden_cells(found: SequenceFindings, part: BonePart) -> tuple[str, str, str]:
    hit = next((b for b in found.burden if b.part == part), None)
    if hit is None:
        return "-", "-", "-"
    return f"{hit.bone_volume_cm3:.0f}", f"{hit.lesion_volume_cm3:.2f}", f"{hit.fraction:.1%}"


def _series_table(study: Study) -> Table:
    return Table(
        title="Series and why they were taken or not",
        columns=("No.", "Description", "Images", "Kind", "Taken as", "Why"),
        rows=tuple(
            (
                "-" if d.number is None else str(d.number),
                d.description,
                str(d.images),
                d.role.value,
                d.taken_as or "-",
                d.reason,
            )
            for d in study.decisions
        ),
        numeric=("No.", "Images"),
        empty="Images were given as files; no series were chosen.",
    )


def _provenance(provenance: Provenance) -> tuple[tuple[str, str], ...]:
    reviewed = (("Reviewed", provenance.reviewed),) if provenance.reviewed else ()
    return (
        *reviewed,
        ("pelvimets", provenance.version),
        ("Networks", provenance.bundle),
        ("Created", provenance.created),
        ("Method", "after Liu X. et al., Front Oncol 2021;11:773299"),
    )
