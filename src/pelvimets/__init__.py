"""Bone metastases on pelvic MRI: from one study to a report. Research use only.

    import pelvimets

    study = pelvimets.read_study("DICOM")        # or NIfTI files by keyword
    result = pelvimets.predict(study)            # in memory
    result.findings.lesions.to_dataframe()
    result.bones["t1"].to_sitk()                 # also .array, .affine
    result.save("OUT", dicom=True)

Names are imported when they are first used: ``import pelvimets`` itself loads no other package.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "read_study": "app.reading",
    "predict": "app.reading",
    "Result": "app.reading",
    "Study": "core.study",
    "Volume": "core.volume",
    "Geometry": "core.geometry",
    "Findings": "core.findings",
    "Lesion": "core.findings",
    "Bone": "labels",
    "Sequence": "labels",
    "evaluate": "app.evaluate",
    "EvaluationRequest": "requests.evaluate",
    "EvaluationSettings": "evaluation.settings",
    "make_phantom": "app.phantom",
    "PhantomOrder": "requests.phantom",
    "make_cohort": "app.phantom",
    "CohortOrder": "requests.phantom",
    "Examined": "requests.phantom",
    "train": "model_development.train",
    "TrainRequest": "requests.train",
    "DigitalPatients": "requests.train",
    "PelvimetsError": "errors",
}
__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
