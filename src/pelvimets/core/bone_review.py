"""What a reader changes in the bones. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pelvimets.core.review import BoolArray, Drawn, Review, check_open, painted
from pelvimets.core.volume import Volume
from pelvimets.errors import ReviewError
from pelvimets.labels import Bone, Sequence


@dataclass(frozen=True, eq=False)
class BoneDrawing:
    """A review and the bone label maps after a change of shape."""

    review: Review
    bones: dict[Sequence, Volume]


def draw_bone(
    review: Review, bones: Drawn, bone: Bone, sequence: Sequence, mask: BoolArray, now: str
) -> BoneDrawing:
    """Give a structure a new shape on one sequence; what is drawn wins over other structures.

    Args:
        review: An open review.
        bones: Bone label maps as they stand.
        bone: The structure, both sides of it.
        sequence: Where it is drawn.
        mask: Its voxels (z, y, x) on that sequence's grid; none means not in the field.
        now: Time of the change.

    Raises:
        ReviewError: if the review is signed or the mask does not fit.
    """
    check_open(review)
    if sequence not in bones:
        raise ReviewError("The study has no such sequence", got=sequence.value)
    labels = painted(bones, sequence, int(bone), mask)
    kept = labels.with_array(labels.array.astype(bones[sequence].array.dtype))
    drawn = tuple(b for b in Bone if b is bone or b in review.bones.get(sequence, ()))
    changed = replace(review, bones={**review.bones, sequence: drawn}, changed=now)
    return BoneDrawing(changed, {**bones, sequence: kept})


def restore_bones(review: Review, sequence: Sequence, now: str) -> Review:
    """Take the bones of a sequence as the model left them.

    Raises:
        ReviewError: if the review is signed.
    """
    check_open(review)
    kept = {s: bones for s, bones in review.bones.items() if s is not sequence}
    return replace(review, bones=kept, changed=now)
