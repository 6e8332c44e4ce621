"""What is kept of a digital patient beside his images: ``patient.json`` as plain data, and back."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pelvimets import __version__
from pelvimets.labels import Sequence, Split
from pelvimets.phantom.anatomy.patient import MimicKind
from pelvimets.phantom.cohort.paper_checks import ManDrawn
from pelvimets.phantom.cohort.population import PatientPlan
from pelvimets.phantom.physics.imaging import ImagedPatient
from pelvimets.phantom.physics.visibility import (
    Seen,
)

SeenBySequence = dict[Sequence, dict[int, Seen]]


def patient_record(
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


def man_drawn(record: dict[str, Any]) -> ManDrawn:
    """What the check of a cohort needs of a man, from his record."""
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


def table_row(key: str, plan: PatientPlan, record: dict[str, Any]) -> dict[str, object]:
    """One line of patients.csv; disease as it lies in the masks."""
    return {
        "patient": key,
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
