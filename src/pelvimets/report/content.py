"""What a report says, before it becomes HTML or PDF."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

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
from pelvimets.core.lanes import side_by_side
from pelvimets.core.study import Acquisition, SeriesDecision, Study
from pelvimets.labels import Sequence
from pelvimets.report.data import RESEARCH_USE, suspicion_wording
from pelvimets.report.overview import overviews
from pelvimets.report.pictures import Picture, Scan, lesion_planes


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
    """One lesion in three planes on each sequence that shows it; ``note`` is the reader's."""

    number: int
    title: str
    facts: str
    pictures: tuple[Picture, ...]
    note: str = ""


@dataclass(frozen=True)
class Reviewed:
    """What a reader says of a result.

    Attributes:
        reader: Name, or '' if unnamed.
        signed: Local time of the signature in words; '' while it is open.
        verified: Whether the reader stands for the Structured Report too.
        comment: Remark on the study.
        notes: Remarks on lesions, by number.
        tally: How many findings were accepted, rejected and added, in words.
    """

    reader: str = ""
    signed: str = ""
    verified: bool = False
    comment: str = ""
    notes: Mapping[int, str] = field(default_factory=dict)
    tally: str = ""


@dataclass(frozen=True)
class Provenance:
    """Where a result comes from, as printed at the end of a report."""

    version: str
    bundle: str
    created: str
    reviewed: Reviewed | None = None


@dataclass(frozen=True)
class ReportContent:
    """All of a report as plain data, in the order in which it is printed.

    ``level`` is ``suspicious``, ``none`` or ``review`` and decides the colour of the statement;
    ``signature`` is empty where no reader has reviewed the result; ``not_taken`` names the other
    series of the study, each with the reason why they were left out. ``free_bones`` are the
    structures on which no lesion is marked.
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
    free_bones: tuple[str, ...]
    provenance: tuple[tuple[str, str], ...]
    signature: tuple[tuple[str, str], ...] = ()
    not_taken: tuple[tuple[str, str], ...] = ()

    @property
    def footer(self) -> str:
        """What stands at the foot of each printed page."""
        study = self.header[0][1] if self.header else ""
        return f"{study} · {self.notice.split('. ')[0]}"


def report_content(
    study: Study,
    bones: BoneMasks,
    lesions: LesionMasks,
    findings: Findings,
    provenance: Provenance,
) -> ReportContent:
    """Gather what the report of a study says and shows."""
    scans = _scans(study, bones, lesions, findings)
    titles = {s: title_of(study, s) for s in Sequence}
    parts, reviewed = _parts(findings), provenance.reviewed or Reviewed()
    return ReportContent(
        title="Bone metastases on pelvic MRI",
        notice=f"{RESEARCH_USE} {findings.learned_from.words}",
        header=_header(study),
        statement=suspicion_wording(findings),
        statement_detail=_statement_detail(findings, titles),
        level=_level(findings),
        flags=tuple((flag.level.value, flag_text(flag, titles)) for flag in findings.flags),
        overviews=overviews(scans),
        lesions=_lesion_table(findings, titles),
        cards=tuple(side_by_side(lambda one: _card(scans, one, reviewed.notes), findings.lesions)),
        burden=_burden_table(findings, titles, [p for p in parts if _hit(findings, p)]),
        free_bones=tuple(part.title for part in parts if not _hit(findings, part)),
        provenance=_provenance(provenance),
        signature=_signature(provenance.reviewed),
        not_taken=_not_taken(study),
    )


Titles = Mapping[Sequence, str]


def local_words(moment: datetime) -> str:
    """A moment by the clock of this place, with its distance from UTC.

    >>> from datetime import timezone, timedelta
    >>> local_words(datetime(2026, 3, 1, 8, 5, tzinfo=timezone(timedelta(hours=1))))
    '2026-03-01 08:05 (UTC+01:00)'
    """
    here = moment if moment.utcoffset() else moment.astimezone()
    offset = here.strftime("%z")
    return f"{here:%Y-%m-%d %H:%M} (UTC{offset[:3]}:{offset[3:5]})"


def title_of(study: Study, sequence: Sequence) -> str:
    """Name of a sequence as it was acquired: a T1 is 'in phase' only where it is."""
    acquisition = study.sequence(sequence)
    return sequence.title if acquisition is None else acquisition.title


def _scans(
    study: Study, bones: BoneMasks, lesions: LesionMasks, findings: Findings
) -> dict[Sequence, Scan]:
    scans = {}
    for sequence, image in study.images.items():
        if sequence not in bones.by_sequence:
            continue
        shown = (lesion for lesion in findings.lesions if sequence in lesion.seen_on)
        scans[sequence] = Scan(
            title_of(study, sequence),
            image,
            bones[sequence],
            lesions[sequence],
            {lesion.seen_on[sequence].label: lesion.number for lesion in shown},
        )
    return scans


def _level(findings: Findings) -> str:
    if not findings.reliable:
        return FlagLevel.REVIEW.value
    return "suspicious" if findings.m1_suspected else "none"


def _statement_detail(findings: Findings, titles: Titles) -> str:
    scores = ", ".join(
        f"{titles[s]} {found.patient_score:.2f}" for s, found in findings.sequences.items()
    )
    count = len(findings.lesions)
    lesions = "no lesion" if count == 0 else f"{count} lesion{'s' if count > 1 else ''}"
    field = "the part of the field that was read" if findings.partly_read else "the scanned field"
    return (
        f"{lesions} listed; score {findings.patient_score:.2f} ({scores}), on a scale of 0 to 1. "
        f"Bones outside {field} were not seen; this is no statement on the M stage "
        "of the patient as a whole."
    )


def flag_text(flag: QualityFlag, titles: Titles) -> str:
    """A flag with the sequence that it is about."""
    return f"{titles[flag.sequence]}: {flag.message}" if flag.sequence else flag.message


def _header(study: Study) -> tuple[tuple[str, str], ...]:
    rows = [("Study", study.patient_key)]
    for sequence in Sequence:
        acquisition = study.sequence(sequence)
        described = _described(study, acquisition) if acquisition else "not available"
        rows.append((title_of(study, sequence), described))
    rows.append(("ADC map", study.adc.label if study.adc else "not available"))
    rows.extend(("Note", note) for note in study.notes)
    return tuple(rows)


def _described(study: Study, acquisition: Acquisition) -> str:
    z, y, x = acquisition.volume.geometry.spacing
    facts = [acquisition.label]
    if acquisition.b_value_s_per_mm2 is not None and "b = " not in acquisition.label:
        facts.append(f"b {acquisition.b_value_s_per_mm2:.0f} s/mm2")
    if acquisition.echo_time_ms is not None:
        facts.append(f"TE {acquisition.echo_time_ms:.1f} ms")
    if acquisition.field_strength_t is not None:
        facts.append(f"{acquisition.field_strength_t:.1f} T")
    slices, rows, columns = acquisition.volume.geometry.shape
    facts.append(f"{slices} x {rows} x {columns} voxels of {z:.1f} x {y:.2f} x {x:.2f} mm")
    facts.extend(acquisition.notes)
    reasons = (d.reason for d in study.decisions if _is_source(d, acquisition))
    facts.extend(f"taken as {reason}" for reason in reasons if reason not in acquisition.notes)
    return "; ".join(facts)


def _is_source(decision: SeriesDecision, acquisition: Acquisition) -> bool:
    source = acquisition.source
    taken = decision.taken_as is not None and decision.role is acquisition.role
    return taken and source is not None and decision.series_instance_uid in source.all_series


def _lesion_table(findings: Findings, titles: Titles) -> Table:
    numeric = ("No.", "Volume, cm3", "Diameter, mm", "ADC mean", "ADC median", "Score")
    return Table(
        title="Lesions",
        columns=("No.", "Bone", "Side", "Seen on", *numeric[1:]),
        rows=tuple(_lesion_row(lesion, titles) for lesion in findings.lesions),
        numeric=numeric,
        empty="No lesion of at least the smallest size was found on the sequences read.",
    )


def _lesion_row(lesion: Lesion, titles: Titles) -> tuple[str, ...]:
    return (
        str(lesion.number),
        lesion.part.bone.title,
        lesion.part.side.value,
        " + ".join(titles[s] for s in lesion.sequences),
        f"{lesion.volume_cm3:.2f}",
        f"{lesion.largest_axial_diameter_mm:.0f}",
        _or_dash(lesion.adc_mean_um2_per_s),
        _or_dash(lesion.adc_median_um2_per_s),
        f"{lesion.score:.2f}",
    )


def _or_dash(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def _card(scans: Mapping[Sequence, Scan], lesion: Lesion, notes: Mapping[int, str]) -> LesionCard:
    """A lesion in three planes on each sequence that was read, also where it is not seen."""
    first = lesion.seen_on[lesion.sequences[0]]
    pictures: list[Picture] = []
    for sequence, scan in scans.items():
        seen = lesion.seen_on.get(sequence)
        if not seen and not scan.holds(first.centre_lps_mm):
            continue
        caption = f"{scan.title}," if seen else f"{scan.title} (not found),"
        pictures += lesion_planes(scan, (seen or first).centre_lps_mm, caption)
    facts = f"{lesion.volume_cm3:.2f} cm3, {lesion.largest_axial_diameter_mm:.0f} mm"
    if lesion.adc_mean_um2_per_s is not None:
        facts += f", ADC {lesion.adc_mean_um2_per_s:.0f} um2/s"
    note = notes.get(lesion.number, "")
    return LesionCard(lesion.number, lesion.part.title, facts, tuple(pictures), note)


def _parts(findings: Findings) -> list[BonePart]:
    found = {b.part for of_one in findings.sequences.values() for b in of_one.burden}
    return sorted(found, key=lambda part: (part.bone, part.side.value))


def _hit(findings: Findings, part: BonePart) -> bool:
    burdens = (b for of_one in findings.sequences.values() for b in of_one.burden)
    return any(b.part == part and b.lesion_volume_cm3 > 0 for b in burdens)


def _burden_table(findings: Findings, titles: Titles, parts: list[BonePart]) -> Table:
    sequences = tuple(findings.sequences)
    measures = ("bone, cm3", "lesion, cm3", "share")
    columns = tuple(f"{titles[s]}: {measure}" for s in sequences for measure in measures)
    rows = tuple(
        (
            part.title,
            *(cell for s in sequences for cell in _burden_cells(findings.sequences[s], part)),
        )
        for part in parts
    )
    return Table(
        "Burden per bone",
        ("Structure", *columns),
        rows,
        numeric=columns,
        empty="No bone holds a marked lesion.",
    )


def _burden_cells(found: SequenceFindings, part: BonePart) -> tuple[str, str, str]:
    hit = next((b for b in found.burden if b.part == part), None)
    if hit is None:
        return "-", "-", "-"
    return f"{hit.bone_volume_cm3:.0f}", f"{hit.lesion_volume_cm3:.2f}", f"{hit.fraction:.1%}"


def _not_taken(study: Study) -> tuple[tuple[str, str], ...]:
    """The reasons, each with the series it holds for: number and description."""
    by_reason: dict[str, list[str]] = {}
    for d in study.decisions:
        if not d.taken_as:
            name = d.description if d.number is None else f"{d.number} {d.description}"
            by_reason.setdefault(d.reason, []).append(name.strip())
    return tuple((reason, ", ".join(names)) for reason, names in by_reason.items())


def _signature(reviewed: Reviewed | None) -> tuple[tuple[str, str], ...]:
    if reviewed is None:
        return ()
    reader = reviewed.reader or "a reader"
    signed = f"signed {reviewed.signed}" if reviewed.signed else "not signed"
    verified = "; Structured Report verified" if reviewed.verified and reviewed.signed else ""
    rows = [("Reviewed", f"by {reader}, {signed}{verified}")]
    if reviewed.tally:
        rows.append(("Verdicts", reviewed.tally))
    if reviewed.comment.strip():
        rows.append(("Remark", reviewed.comment.strip()))
    return tuple(rows)


def _provenance(provenance: Provenance) -> tuple[tuple[str, str], ...]:
    return (
        ("pelvimets", provenance.version),
        ("Networks", provenance.bundle),
        ("Created", provenance.created),
        ("Method", "after Liu X. et al., Front Oncol 2021;11:773299"),
    )
