"""How files of a case are called: one name for an image and for a mask, wherever they lie."""

from __future__ import annotations


def image_name(key: str) -> str:
    """Of an image: ``dwi``, ``t1`` or ``adc``.

    >>> image_name("dwi")
    'dwi.nii.gz'
    """
    return f"{key}.nii.gz"


def mask_name(sequence: str, kind: str) -> str:
    """Of a mask on a sequence's grid: ``bones``, ``lesions`` or ``mimics``.

    >>> mask_name("t1", "bones")
    't1_bones.nii.gz'
    """
    return f"{sequence}_{kind}.nii.gz"
