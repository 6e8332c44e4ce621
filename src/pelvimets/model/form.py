"""What a network of someone else takes and gives, and how that becomes what the cascade needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit, softmax

from pelvimets.errors import BundleError
from pelvimets.labels import Bone
from pelvimets.model.inputs import BONE_OUTPUTS
from pelvimets.model.tiles import tiled_probabilities

FloatArray = npt.NDArray[np.float32]
Run = Callable[[FloatArray], FloatArray]
"""One forward pass: (inputs, z, y, x) to (outputs, z, y, x), in the network's own axes."""

BACKGROUND, LESION, IGNORED = "background", "lesion", "other"
INPUTS = ("image", "bones", "dwi", "t1")
"""Names of inputs: the image, a mask of any bone, and the image where it is DWI or T1, else 0."""
_LETTERS = {"S": (0, 1), "I": (0, -1), "P": (1, 1), "A": (1, -1), "L": (2, 1), "R": (2, -1)}


@dataclass(frozen=True)
class NetworkForm:
    """How a network is to be used.

    Attributes:
        inputs: Its channels, of ``INPUTS``.
        outputs: What each of its channels is: ``background``, a structure's key, ``lesion`` or
            ``other``.
        gives: ``logits`` or ``probabilities``.
        activation: ``softmax``, ``sigmoid``, or ``auto``: softmax of several channels.
        spacing_mm: Voxel distance that it works at (superior, posterior, left).
        multiple_of: Of the shapes that it takes, in the same order.
        axes: Directions in which the indices of its arrays grow, three of ``SIPALR``.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    gives: str = "logits"
    activation: str = "auto"
    spacing_mm: tuple[float, float, float] = (4.0, 2.0, 2.0)
    multiple_of: tuple[int, int, int] = (16, 16, 16)
    axes: str = "SPL"

    def __post_init__(self) -> None:
        names = (BACKGROUND, LESION, IGNORED, *(bone.key for bone in Bone))
        checks = (
            ("Inputs of a network", self.inputs, INPUTS),
            ("Outputs of a network", self.outputs, names),
            ("What a network gives", (self.gives,), ("logits", "probabilities")),
            ("The activation", (self.activation,), ("auto", "softmax", "sigmoid")),
        )
        for what, given, known in checks:
            if not given or (strange := sorted(set(given) - set(known))):
                raise BundleError(
                    f"{what} cannot be used",
                    got=", ".join(strange) if given else "none",
                    remedy=f"Known: {', '.join(known)}",
                )
        if sorted(_LETTERS.get(letter, (9,))[0] for letter in self.axes) != [0, 1, 2]:
            raise BundleError(
                "The axes of a network are three directions, one of each pair",
                got=self.axes,
                remedy="Such as SPL (superior, posterior, left), or RAS",
            )
        twice = {name for name in self.outputs if self.outputs.count(name) > 1} - {IGNORED}
        if twice:
            raise BundleError("Outputs of a network have one name twice", got=", ".join(twice))

    @property
    def finds_lesions(self) -> bool:
        """Whether it is a network of the second step."""
        return LESION in self.outputs

    @property
    def finds_bones(self) -> bool:
        """Whether it is a network of the first step."""
        return any(bone.key in self.outputs for bone in Bone)

    def turned(self, array: FloatArray) -> FloatArray:
        """From (channels, superior, posterior, left) to the network's own axes."""
        order = [1 + _LETTERS[letter][0] for letter in self.axes]
        signs = [_LETTERS[letter][1] for letter in self.axes]
        return _flipped(array.transpose(0, *order), signs)

    def turned_back(self, array: FloatArray) -> FloatArray:
        """The inverse of ``turned``."""
        order = [_LETTERS[letter][0] for letter in self.axes]
        signs = [_LETTERS[letter][1] for letter in self.axes]
        back = np.argsort(order)
        return _flipped(array, signs).transpose(0, *(1 + back))


def _flipped(array: FloatArray, signs: list[int]) -> FloatArray:
    return array[(slice(None), *(slice(None, None, sign) for sign in signs))]


@dataclass(eq=False)
class FormedNetwork:
    """A network of someone else, called as the cascade calls its own.

    Attributes:
        run: One forward pass.
        form: What goes in and comes out.
        bones: Whether it serves the first step: 9 channels come out, else 1.
        tile_voxels: Most voxels that it sees at a time.
    """

    run: Run
    form: NetworkForm
    bones: bool
    tile_voxels: int

    def compile(self) -> None:
        """Nothing is prepared before the first call."""

    def __call__(self, channels: FloatArray) -> FloatArray:
        """Probabilities (9 or 1, z, y, x) of the inputs of the first or second step.

        Args:
            channels: The image (1, z, y, x), or DWI, bones and T1 (3, z, y, x); see
                ``model.inputs``.

        Raises:
            BundleError: if it answers in another shape than its description says.
        """
        found = tiled_probabilities(
            self._probabilities, self._inputs(channels), self.form.multiple_of, self.tile_voxels
        )
        return self._named(found)

    def _inputs(self, channels: FloatArray) -> FloatArray:
        if len(channels) == 1:
            known = {"image": channels[0]}
        else:
            dwi, mask, t1 = channels
            known = {"image": dwi + t1, "bones": mask, "dwi": dwi, "t1": t1}
        if missing := [name for name in self.form.inputs if name not in known]:
            raise BundleError(
                "A network of the bones sees the image alone",
                got=", ".join(missing),
                remedy="Give its inputs as image",
            )
        return np.stack([known[name] for name in self.form.inputs])

    def _probabilities(self, channels: FloatArray) -> FloatArray:
        turned = np.ascontiguousarray(self.form.turned(channels), dtype=np.float32)
        answer = np.asarray(self.run(turned), dtype=np.float32)
        wanted = (len(self.form.outputs), *turned.shape[1:])
        if answer.shape != wanted:
            raise BundleError(
                "A network answers in another shape than its description says",
                got=f"{answer.shape} for {wanted} (channels first)",
                remedy="Mend 'outputs', 'inputs' or 'multiple_of' in the description",
            )
        return np.ascontiguousarray(self.form.turned_back(self._activated(answer)))

    def _activated(self, answer: FloatArray) -> FloatArray:
        if self.form.gives == "probabilities":
            return answer
        several = (
            len(answer) > 1
            if self.form.activation == "auto"
            else (self.form.activation == "softmax")
        )
        return np.asarray(softmax(answer, axis=0) if several else expit(answer), np.float32)

    def _named(self, found: FloatArray) -> FloatArray:
        """The channels in the cascade's order; what it does not know has probability 0."""
        if not self.bones:
            return found[[self.form.outputs.index(LESION)]]
        named = np.zeros((BONE_OUTPUTS, *found.shape[1:]), dtype=np.float32)
        for bone in Bone:
            if bone.key in self.form.outputs:
                named[bone] = found[self.form.outputs.index(bone.key)]
        named[0] = np.clip(1 - named[1:].sum(axis=0), 0, 1)
        return named
