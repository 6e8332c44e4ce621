#!/bin/sh
# Thirty patients of a group's own, from nnU-Net's layout to an ensemble measured out of fold.
#
#     sh thirty_patients.sh FOLDER
#
# docs/tutorial/thirty_patients.md says what each step shows. The patients are digital.
# PATIENTS, SEED, FOLDS, MINUTES (of each run) and JOBS change its size; what is there is passed over.
set -eu
mkdir -p "$1" && cd "$1"
PATIENTS=${PATIENTS:-30} SEED=${SEED:-5} FOLDS=${FOLDS:-5} MINUTES=${MINUTES:-1} JOBS=${JOBS:-2}
here() { [ -e "$1" ] && echo "$1 is there already"; }
pelvimets() { echo; echo "\$ pelvimets $*"; ${PELVIMETS:-command pelvimets} "$@"; }

# What such a group has: two data sets of nnU-Net. Of the bones ilium and sacrum are drawn; in the
# last third of the patients nobody has looked for metastases yet.
here digital || pelvimets phantom cohort -o digital --patients "$PATIENTS" --seed "$SEED" --jobs "$JOBS"
here raw/Dataset501_Bones || pelvimets export nnunet digital -o raw/Dataset501_Bones --task bones --sequence both
here raw/Dataset502_Lesions || pelvimets export nnunet digital -o raw/Dataset502_Lesions --task lesions --sequence both
here raw/as_a_group || ${PYTHON:-python} - <<'END'
import json
from pathlib import Path
import numpy as np
import SimpleITK as sitk

bones, lesions = Path("raw/Dataset501_Bones"), Path("raw/Dataset502_Lesions")
for path in [*bones.glob("labelsTr/*.nii.gz"), *bones.glob("labelsTs/*.nii.gz")]:
    image = sitk.ReadImage(str(path))
    array = sitk.GetArrayFromImage(image)
    drawn = np.select([array == 2, array == 3], [1, 2]).astype(np.uint8)
    kept = sitk.GetImageFromArray(drawn)
    kept.CopyInformation(image)
    sitk.WriteImage(kept, str(path))
described = json.loads((bones / "dataset.json").read_text())
described["labels"] = {"background": 0, "sacrum": 1, "ilium": 2}
(bones / "dataset.json").write_text(json.dumps(described))
patients = sorted({path.name.split("_")[0] for path in lesions.glob("labelsTr/*.nii.gz")})
for key in patients[-(len(patients) // 3) :]:
    for path in lesions.glob(f"labelsTr/{key}_*.nii.gz"):
        path.unlink()
Path("raw/as_a_group").touch()
END

# 1. Import, first without writing. The dry run ends with 1 where there are faults, and says what to add.
here cohort || pelvimets import nnunet raw/Dataset501_Bones raw/Dataset502_Lesions -o cohort --dry-run || true
here cohort || pelvimets import nnunet raw/Dataset501_Bones raw/Dataset502_Lesions -o cohort \
    --missing-lesions leave --fill-bones first

# 2. Train from the shipped networks, a run per fold.
pelvimets train lesions --data cohort -o runs --from first --sequence dwi --folds "$FOLDS" --minutes "$MINUTES"
pelvimets train lesions --data cohort -o runs-t1 --from first --sequence t1 --split-of runs --folds "$FOLDS" --minutes "$MINUTES"

# 3. Bundle, calibrate and measure each patient by the network that did not learn from that patient.
here ensemble || pelvimets bundle --bones first --lesions runs --lesions-t1 runs-t1 -o ensemble
here calibrated || pelvimets calibrate ensemble --data cohort --out-of-fold -o calibrated
pelvimets predict cohort -o predictions --bundle calibrated --out-of-fold --jobs "$JOBS"
here evaluation || pelvimets evaluate --predictions predictions --reference cohort -o evaluation --in-silico

# 4. Whom to annotate next.
pelvimets next cohort --bundle ensemble --count 5

# 5. Another archive holds masks of the lesions alone: the bones are filled in by the bundle.
here lesions-only || pelvimets import nnunet raw/Dataset502_Lesions -o lesions-only \
    --missing-lesions leave --missing-bones leave --fill-bones first
pelvimets train lesions --data lesions-only -o runs-lesions-only --from first --sequence dwi --minutes "$MINUTES"
