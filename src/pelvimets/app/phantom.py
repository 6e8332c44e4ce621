"""Digital patients to disk: one man, or a whole cohort."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pelvimets import __version__
from pelvimets.core.progress import Progress, silent
from pelvimets.core.volume import Volume
from pelvimets.errors import CohortError
from pelvimets.io.cohort.folder import TABLE_NAME, read_cohort, write_table
from pelvimets.io.nifti.files import write_nifti
from pelvimets.io.nifti.names import image_name
from pelvimets.io.phantom.record import (
    COHORT_RECORD,
    PATIENT_RECORD,
    open_cohort_folder,
    read_record,
)
from pelvimets.io.phantom.study import write_phantom_study
from pelvimets.io.record.output import staged_folder, write_json
from pelvimets.io.workers import Jobs, each
from pelvimets.labels import Sequence, Split
from pelvimets.phantom.anatomy.patient import MimicKind
from pelvimets.phantom.choices import Artefacts, Population
from pelvimets.phantom.cohort.build import PatientSettings, build_follow_up, build_patient
from pelvimets.phantom.cohort.checks import CheckRow, check_table
from pelvimets.phantom.cohort.paper_checks import ManDrawn, paper_table
from pelvimets.phantom.cohort.population import ENROLMENT, PatientPlan, draw_cohort, enrolment_flow
from pelvimets.phantom.physics.imaging import ImagedPatient, examine
from pelvimets.phantom.physics.scanner import scanner_named
from pelvimets.phantom.physics.sequences import DixonImage
from pelvimets.phantom.physics.visibility import (
    Seen,
    drawn_truth,
    lesions_seen,
)
from pelvimets.requests.phantom import CohortOrder, PhantomOrder

FLOW_NAME = "flow.csv"
Stage = Callable[[str], None]


def make_phantom(
    order: PhantomOrder,
    out: Path,
    stage: Stage = lambda name: None,
    *,
    overwrite: bool = False,
) -> Path:
    """Make one digital patient in the cohort layout.

    Args:
        order: What to make.
        out: New folder; appears complete or not at all. A second time point lies in its
            sub-folder ``follow_up``.
        stage: Called with the name of each stage as it starts.
        overwrite: Replace an earlier digital patient, and nothing else.

    Raises:
        OutputError: if the folder exists or cannot be written.
    """
    with staged_folder(out, overwrite=overwrite, result_marker=PATIENT_RECORD) as work:
        _write_time_point(order, work, 0, stage)
        if order.examined.follow_up:
            later = work / "follow_up"
            later.mkdir()
            _write_time_point(order, later, 1, stage)
    return out


def _write_time_point(order: PhantomOrder, folder: Path, number: int, stage: Stage) -> None:
    plan, how = order.plan(), order.examined
    settings = plan.settings(how.settings) if plan else how.settings
    stage("anatomy")
    build = build_follow_up if number else build_patient
    imaged = examine(
        build(order.seed, settings),
        order.chosen_scanner(),
        artefacts=how.artefacts,
        examination_number=number,
        wanted=tuple(DixonImage) if how.dicom else (DixonImage.IN_PHASE,),
        companions=how.dicom is not None,
        stage=stage,
    )
    stage("files")
    seen = lesions_seen(imaged.read, ENROLMENT[plan.population].reader if plan else None)
    _write_images(imaged, seen, folder)
    write_json(folder / PATIENT_RECORD, _record(imaged, seen, plan, number))
    if how.dicom:
        write_phantom_study(folder / "dicom", imaged, how.dicom, examination=number)


SeenBySequence = dict[Sequence, dict[int, Seen]]


def _write_images(imaged: ImagedPatient, seen: SeenBySequence, folder: Path) -> None:
    diffusion = imaged.diffusion
    files = {"adc": Volume(diffusion.adc_um2_per_s, diffusion.geometry)}
    for sequence, (image, truth) in imaged.read.items():
        files[sequence.value] = image
        truth = drawn_truth(truth, seen[sequence])
        for kind in ("bones", "lesions", "mimics"):
            files[f"{sequence.value}_{kind}"] = image.with_array(getattr(truth, kind))
    for name, volume in files.items():
        write_nifti(folder / image_name(name), volume)


def _record(
    imaged: ImagedPatient, seen: SeenBySequence, plan: PatientPlan | None, number: int
) -> dict[str, Any]:
    """Everything known of the patient, as plain data."""
    patient, scanner = imaged.patient, imaged.scanner
    volumes = [sum((o.volume_cm3 for o in own.values() if o.drawn), 0.0) for own in seen.values()]
    return {
        "made_by": f"pelvimets {__version__}",
        "notice": "Digital patient: no person behind it. Research use only.",
        "seed": patient.seed,
        "time_point": number,
        "age_years": round(patient.age_years, 1),
        "m_stage": "M1" if any(volumes) else "M0",
        "plan": asdict(plan) if plan else None,
        "anatomy_source": patient.source,
        "scanner": asdict(scanner),
        "artefacts": asdict(imaged.artefacts),
        "examination": imaged.examination.as_data(),
        "largest_epi_shift_mm": round(imaged.diffusion.displacement_mm, 2),
        "lesion_volume_cm3": round(max(volumes), 3),
        "lesions": _lesions(imaged, seen),
        "mimics": [{**asdict(m), "label": m.kind.label} for m in patient.mimic_table],
        "drawn": patient.drawn,
    }


def _lesions(imaged: ImagedPatient, seen: SeenBySequence) -> list[dict[str, Any]]:
    """Truth of each metastasis, and what of it lies in each sequence's field."""
    return [
        {
            **asdict(lesion),
            "bone": lesion.bone.key,
            "drawn": any(
                lesion.number in own and own[lesion.number].drawn for own in seen.values()
            ),
            "in_image": {
                s.value: own[lesion.number].as_data() if lesion.number in own else None
                for s, own in seen.items()
            },
        }
        for lesion in imaged.patient.lesion_table
    ]


def check_phantom(
    seeds: tuple[int, ...], scanner: str, stage: Stage = lambda name: None
) -> tuple[CheckRow, ...]:
    """Measure digital patients with metastases against the literature.

    Args:
        seeds: One patient each.
        scanner: Name of the scanner.
        stage: Called with the name of each stage as it starts.
    """
    undistorted = Artefacts().with_strength(
        epi_distortion=0.0, chemical_shift=0.0, motion=0.0, coil_bias=0.0, ghost=0.0, breathing=0.0
    )
    settings = PatientSettings(metastases_probability=1.0)
    return check_table(
        examine(
            build_patient(seed, settings),
            scanner_named(scanner),
            artefacts=undistorted,
            stage=stage,
        )
        for seed in seeds
    )


def check_cohort(folder: Path) -> tuple[CheckRow, ...]:
    """Compare the disease of a cohort of digital patients, as made, with the paper's tables.

    Raises:
        CohortError: if it is no complete cohort of digital patients, or follows no table.
    """
    order = read_record(folder / COHORT_RECORD)["order"]
    patients = read_cohort(folder).patients
    men = [_man_drawn(read_record(p.folder / PATIENT_RECORD)) for p in patients]
    return paper_table(men, Population(order["population"]))


def _man_drawn(record: dict[str, Any]) -> ManDrawn:
    drawn = [
        [own for own in lesion["in_image"].values() if own and own["drawn"]]
        for lesion in record["lesions"]
        if lesion["drawn"]
    ]
    return ManDrawn(
        part=Split(record["plan"]["part"]),
        lesions=sum(lesion["drawn"] for lesion in record["lesions"]),
        volume_cm3=record["lesion_volume_cm3"],
        smallest_cm3=min((max(o["volume_cm3"] for o in own) for own in drawn), default=None),
        lowest_cnr=min((o["cnr"] for own in drawn for o in own), default=None),
        benign=frozenset(MimicKind(mimic["kind"]) for mimic in record["mimics"]),
    )


@dataclass(frozen=True)
class CohortMember:
    """One patient of a cohort: folder name and order."""

    key: str
    plan: PatientPlan
    order: PhantomOrder


def cohort_members(cohort: CohortOrder) -> tuple[CohortMember, ...]:
    """The patients of a cohort, each with what makes him."""
    plans = draw_cohort(cohort.population, cohort.patients, cohort.seed)
    width = max(4, len(str(cohort.patients)))
    return tuple(
        CohortMember(
            f"p{number:0{width}d}",
            plan,
            PhantomOrder(plan.seed, plan.population, plan.part, cohort.examined),
        )
        for number, plan in enumerate(plans, start=1)
    )


def make_cohort(
    cohort: CohortOrder,
    out: Path,
    *,
    jobs: Jobs = 1,
    progress: Progress = silent,
) -> Path:
    """Make a cohort, or what is still missing of it.

    Args:
        cohort: What to make.
        out: Folder of the cohort; may hold an interrupted run of the same order.
        jobs: Patients made at a time, or a cluster.
        progress: Told of each patient.

    Raises:
        CohortError: if the folder holds another cohort, or something else; or, once all others
            are made, if a patient could not be.
    """
    members = cohort_members(cohort)
    open_cohort_folder(out, cohort.as_data())
    waiting = [m for m in members if not (out / m.key / PATIENT_RECORD).is_file()]
    done = len(members) - len(waiting)
    progress("", done, len(members))
    faults = []
    for made in each(partial(_make_member, out=out), waiting, jobs):
        done += 1
        progress(made.item.key, done, len(members))
        if made.fault:
            faults.append(f"{made.item.key}: {made.fault}")
    if faults:
        raise CohortError(
            f"{len(faults)} of {len(members)} patients could not be made",
            got="; ".join(sorted(faults)),
            remedy="Run it again: it goes on with these",
        )
    flow = enrolment_flow(cohort.population, cohort.patients, cohort.seed)
    write_table(out / FLOW_NAME, [asdict(row) for row in flow])
    write_table(out / TABLE_NAME, [_row(member, out) for member in members])
    return out


def _make_member(member: CohortMember, out: Path) -> None:
    make_phantom(member.order, out / member.key)


def _row(member: CohortMember, out: Path) -> dict[str, object]:
    """One line of patients.csv; disease as it lies in the masks."""
    record = read_record(out / member.key / PATIENT_RECORD)
    plan = member.plan
    return {
        "patient": member.key,
        "split": plan.part.value,
        "m_stage": record["m_stage"],
        "scanner": record["scanner"]["name"],
        "age": plan.age_years,
        "psa": plan.psa_ng_per_ml,
        "free_psa": plan.free_psa_ng_per_ml,
        "dataset": plan.dataset,
        "lesions": sum(lesion["drawn"] for lesion in record["lesions"]),
        "lesion_volume_cm3": record["lesion_volume_cm3"],
        "field_strength_t": record["scanner"]["field_strength_t"],
        "anatomy_source": record["anatomy_source"],
        "seed": plan.seed,
    }
