"""The tables of an evaluation, in the form of the paper's Tables 1-5 and S1-S4."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as Ordered

from pelvimets.evaluation.measures.case import LESIONS, CaseResult
from pelvimets.evaluation.measures.matched import PAIR_MEASURES
from pelvimets.evaluation.measures.voxel import MEASURE_TITLES, MEASURES
from pelvimets.evaluation.results import STRUCTURES, CohortResults, VoxelSummary
from pelvimets.evaluation.statistics.sequence_tests import StructureTest
from pelvimets.evaluation.tables.cases import case_table
from pelvimets.evaluation.tables.detection import (
    detection_table,
    false_positive_table,
    intervals_table,
    patient_subgroup_table,
    subgroup_table,
)
from pelvimets.evaluation.tables.facts import (
    EXTERNAL,
    Characteristics,
    NumberRow,
    PatientFacts,
)
from pelvimets.evaluation.tables.table import (
    DASH,
    IN_SILICO,
    Table,
    mean_sd,
    median_quartiles,
    number,
    number_interval,
    p_value,
    percent,
)
from pelvimets.labels import Sequence


def structure_title(key: str) -> str:
    """Name of a structure as printed.

    >>> structure_title("femoral_head")
    'Femoral head'
    """
    return key.replace("_", " ").capitalize()


def cohort_tables(results: CohortResults, cases: Ordered[CaseResult]) -> tuple[Table, ...]:
    """All tables of an evaluation."""
    flag = (IN_SILICO,) if results.settings.in_silico else ()
    made = [
        grid_table(results.facts, cases),
        characteristics_table(results.characteristics["bones"]),
        disease_table(results.characteristics["lesions"]),
        bone_table(results),
        detection_table(results),
        lesion_segmentation_table(results),
        matched_table(results),
        subgroup_table(results),
        patient_subgroup_table(results),
        false_positive_table(results),
        group_table(results),
        intervals_table(results),
        case_table(results),
    ]
    return tuple(
        Table(t.key, t.title, t.columns, t.rows, (*flag, *t.notes)) for t in made if t.rows
    )


def grid_table(facts: Ordered[PatientFacts], cases: Ordered[CaseResult]) -> Table:
    """Table 1: the images per scanner, as their headers and grids tell."""
    scanner_of = {fact.patient: fact.scanner or "unknown" for fact in facts}
    grids: dict[tuple[Sequence, str], list[CaseResult]] = {}
    for case in cases:
        for sequence, result in case.sequences.items():
            if result.shape is not None:
                key = (sequence, scanner_of.get(case.patient, "unknown"))
                grids.setdefault(key, []).append(case)
    rows = [
        (
            sequence.title,
            scanner,
            str(len(members)),
            *_protocol_cells(sequence, members),
            *_grid_cells(sequence, members),
        )
        for (sequence, scanner), members in sorted(grids.items())
    ]
    columns = (
        "Sequence", "Scanner", "Patients", "Maker and model", "Field strength (T)",
        "b-value (s/mm2)", "TE (ms)", "TR (ms)", "Flip angle (deg)", "Bandwidth (Hz/px)",
        "Thickness (mm)", "Matrix (y x x)", "Slices", "In-plane spacing (mm)",
        "Slice distance (mm)", "Field of view (mm)",
    )  # fmt: skip
    notes = ("From headers kept with the images or with the prediction; a dash: not known.",)
    return Table("table1_images", "Table 1 | Images by scanner", columns, tuple(rows), notes)


_PROTOCOL = (  # field and digits
    ("field_strength_t", 1), ("b_value_s_per_mm2", 0), ("echo_time_ms", 1),
    ("repetition_time_ms", 1), ("flip_angle_deg", 0), ("bandwidth_hz_per_px", 1),
    ("thickness_mm", 1),
)  # fmt: skip


def _protocol_cells(sequence: Sequence, cases: Ordered[CaseResult]) -> tuple[str, ...]:
    known = [case.sequences[sequence].protocol for case in cases]
    makers = dict.fromkeys(str(own["scanner"]) for own in known if own.get("scanner"))
    cells = []
    for name, digits in _PROTOCOL:
        values = [float(own[name]) for own in known if name in own]
        cells.append(_range(values, digits) if values else DASH)
    return ("; ".join(makers) or DASH, *cells)


def _grid_cells(sequence: Sequence, cases: Ordered[CaseResult]) -> tuple[str, ...]:
    shapes = [case.sequences[sequence].shape for case in cases]
    spacings = [case.sequences[sequence].spacing_mm for case in cases]
    z, y, x = (_range([float(s[axis]) for s in shapes if s]) for axis in range(3))
    dz, dy, dx = (_range([s[axis] for s in spacings if s], 2) for axis in range(3))
    fields = [
        _range([s[a] * d[a] for s, d in zip(shapes, spacings, strict=True) if s and d])
        for a in (1, 2)
    ]
    return f"{y} x {x}", z, f"{dy} x {dx}", dz, f"{fields[0]} x {fields[1]}"


def _range(values: Ordered[float], digits: int = 0) -> str:
    low, high = number(min(values), digits), number(max(values), digits)
    return low if low == high else f"{low}-{high}"


def characteristics_table(found: Characteristics) -> Table:
    """Table 2: patients of the splits."""
    keep = ("M stage", "Scanner", "Data set")
    rows = [_row(found, "No. of patients", [str(n) for n in found.patients.values()])]
    rows += [_number_cells(found, row) for row in found.numbers if not row.of_disease]
    rows += _category_cells(found, keep)
    columns = _characteristic_columns(found)
    notes = (
        "Mean ± SD with ANOVA; median (quartiles) with ANOVA and Kruskal-Wallis; counts with "
        "Pearson's chi-square. An external cohort is compared with all others together.",
    )
    title = "Table 2 | Characteristics of patients"
    return Table("table2_characteristics", title, columns, tuple(rows), notes)


def disease_table(found: Characteristics) -> Table:
    """Table 3: disease of the splits."""
    rows = _category_cells(found, ("Lesions per M1 patient",))
    totals = tuple(DASH if n is None else str(n) for n in found.total_lesions.values())
    if any(cell != DASH for cell in totals):
        rows.append(_row(found, "Total lesions", totals))
    rows += [_number_cells(found, row) for row in found.numbers if row.of_disease]
    columns = _characteristic_columns(found)
    return Table("table3_disease", "Table 3 | Metastases of the patients", columns, tuple(rows))


def _characteristic_columns(found: Characteristics) -> tuple[str, ...]:
    """Splits, p across them, then the external cohort and its p, as in the paper."""
    names = [split.capitalize() for split in found.patients if split != EXTERNAL]
    first = (*names, "p", "p, rank test") if names else ()
    if EXTERNAL not in found.patients:
        return ("Characteristic", *first)
    return ("Characteristic", *first, "External", "p, external", "p, external, rank test")


def _row(
    found: Characteristics,
    name: str,
    cells: Ordered[str],
    p: tuple[str, str] = (DASH, DASH),
    external: tuple[str, str] = (DASH, DASH),
) -> tuple[str, ...]:
    """Cells in the order of ``_characteristic_columns``; ``cells`` are those of the splits."""
    by_split = dict(zip(found.patients, cells, strict=True))
    own = [cell for split, cell in by_split.items() if split != EXTERNAL]
    first = (*own, *p) if own else ()
    last = (by_split[EXTERNAL], *external) if EXTERNAL in by_split else ()
    return (name, *first, *last)


def _number_cells(found: Characteristics, row: NumberRow) -> tuple[str, ...]:
    form = mean_sd if row.as_mean else median_quartiles
    cells = [form(summary) for summary in row.by_split.values()]
    p = p_value(row.anova.p), p_value(row.kruskal.p)
    if row.external is None:
        return _row(found, row.name, cells, p)
    return _row(found, row.name, cells, p, (p_value(row.external[0].p), p_value(row.external[1].p)))


def _category_cells(found: Characteristics, names: Ordered[str]) -> list[tuple[str, ...]]:
    rows = []
    for row in found.counts:
        if row.name in names:
            total = {
                s: sum(r.by_split[s] for r in found.counts if r.name == row.name)
                for s in row.by_split
            }
            cells = [
                f"{n} ({percent(n / total[s])} %)" if total[s] else DASH
                for s, n in row.by_split.items()
            ]
            p, external = (
                DASH if test is None else p_value(test.p) for test in (row.test, row.external)
            )
            name = f"{row.name}: {row.category}"
            rows.append(_row(found, name, cells, (p, DASH), (external, DASH)))
    return rows


def bone_table(results: CohortResults) -> Table:
    """Table 4: segmentation of the bones on both sequences."""
    title = "Table 4 | Segmentation of the pelvic bones"
    keys = [key for key in STRUCTURES if key != LESIONS]
    return _structure_table(results, "table4_bones", title, keys)


def lesion_segmentation_table(results: CohortResults) -> Table:
    """Segmentation of the lesions (the paper's text and Figures 4A and 6A)."""
    title = "Segmentation of the metastases, patients with metastases in the reference"
    return _structure_table(results, "lesion_segmentation", title, [LESIONS])


def matched_table(results: CohortResults) -> Table:
    """Segmentation lesion by lesion: the matched pairs alone."""
    rows = [
        (
            sequence.title,
            MEASURE_TITLES[name],
            str(found.pairs),
            str(found.patients),
            mean_sd(found.by_measure[name]),
            median_quartiles(found.by_measure[name]),
            number_interval(found.means[name]),
        )
        for sequence, found in results.matched.items()
        for name in PAIR_MEASURES
    ]
    columns = (
        "Sequence", "Measure", "Lesions", "Patients", "Mean ± SD", "Median (quartiles)",
        "Mean (95 % interval)",
    )  # fmt: skip
    notes = (
        "Each lesion that was found, against the prediction that found it; lesions that were "
        "missed are in Table 5. Intervals: bootstrap over patients.",
    )
    title = "Segmentation lesion by lesion, matched pairs"
    return Table("lesion_pairs", title, columns, tuple(rows), notes)


def _structure_table(
    results: CohortResults, key: str, title: str, structures: Ordered[str]
) -> Table:
    rows = []
    for structure in structures:
        for measure in MEASURES:
            own = {s.sequence: s for s in results.summaries if s.structure == structure}
            if not own:
                continue
            test = _test_of(results.structure_tests, structure, measure)
            rows.append(
                (
                    structure_title(structure),
                    MEASURE_TITLES[measure],
                    *_summary_cells(own, measure),
                    *_test_cells(test),
                )
            )
    columns = (
        "Structure", "Measure", "DWI", "T1 in phase", "DWI, median", "T1, median",
        "DWI - T1 (95 % interval)", "p, paired t", "p, Holm", "p, Wilcoxon",
    )  # fmt: skip
    return Table(key, title, columns, tuple(rows), _mask_notes(results, structures))


def _summary_cells(own: Mapping[Sequence, VoxelSummary], measure: str) -> tuple[str, ...]:
    means = [mean_sd(own[s].by_measure[measure]) if s in own else DASH for s in Sequence]
    medians = [median_quartiles(own[s].by_measure[measure]) if s in own else DASH for s in Sequence]
    return (*means, *medians)


def _test_of(tests: Ordered[StructureTest], structure: str, measure: str) -> StructureTest | None:
    return next((t for t in tests if (t.structure, t.measure) == (structure, measure)), None)


def _test_cells(test: StructureTest | None) -> tuple[str, ...]:
    if test is None or test.difference is None:
        return (DASH,) * 4
    return (
        number_interval(test.difference),
        p_value(test.tests[0].p),
        p_value(test.holm[0]),
        p_value(test.tests[1].p),
    )


def _mask_notes(results: CohortResults, structures: Ordered[str]) -> tuple[str, ...]:
    notes = [
        "Mean ± SD and median (quartiles). HD, HD95, ASSD between centres of border voxels; NSD "
        "of surface elements. Empty masks: both empty, no value; one empty, DSC and VS are 0 and "
        "distances have no value. [n empty]: cases without a value.",
    ]
    if LESIONS not in structures:
        notes.append("Holm's correction spans the bones of one measure.")
    for s in results.summaries:
        if s.structure in structures and (s.reference_empty or s.prediction_empty or s.both_empty):
            notes.append(
                f"{s.sequence.title}, {structure_title(s.structure).lower()}: of {s.cases} cases "
                f"{s.prediction_empty} with an empty prediction, {s.reference_empty} with an "
                f"empty reference alone, {s.both_empty} with both empty."
            )
    return tuple(notes)


def group_table(results: CohortResults) -> Table:
    """Voxel measures across scanners, data sets and splits (S1-S4)."""
    rows = []
    for test in results.group_tests:
        groups = "; ".join(f"{n}: {mean_sd(s)}" for n, s in (test.groups or {}).items())
        rows.append(
            (
                test.between,
                test.sequence.title if test.sequence else DASH,
                structure_title(test.structure),
                MEASURE_TITLES[test.measure],
                groups,
                p_value(test.tests[0].p),
                p_value(test.holm[0]),
                p_value(test.tests[1].p),
            )
        )
    columns = (
        "Across", "Sequence", "Structure", "Measure", "Mean ± SD", "p, ANOVA", "p, Holm",
        "p, Kruskal-Wallis",
    )  # fmt: skip
    title = "Tables S1-S4 | Segmentation across scanners, data sets and splits"
    order = sorted(range(len(rows)), key=lambda n: (rows[n][0], rows[n][1], _place(rows[n][2])))
    return Table("tables_s1_s4_groups", title, columns, tuple(rows[n] for n in order))


def _place(title: str) -> int:
    return [structure_title(s) for s in STRUCTURES].index(title)
