"""Steps around the network that MONAI has no transform for, and the run over a folder of images.

Part of a MONAI bundle: it needs MONAI, NumPy and SciPy, and nothing of pelvimets. Axes of arrays
run towards superior, posterior and left; ``low`` and ``high`` are ends of a field in mm along them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from monai.data.meta_tensor import MetaTensor
from monai.transforms.croppad.array import SpatialPad
from monai.transforms.spatial.array import SpatialResample
from monai.transforms.transform import MapTransform, Transform
from monai.utils.type_conversion import convert_to_dst_type
from scipy import ndimage

_TO_SPL = [[0, 0, -1], [0, -1, 0], [1, 0, 0]]
_BLURRED_ABOVE = 1.2  # times coarser

Item = dict[Hashable, Any]
Array = npt.NDArray[Any]


def cases(images: str, bones: str | None = None) -> list[dict[str, str]]:
    """The images of a folder, by name; with the folder of bones, NAME_bones.nii.gz for each."""
    found: list[dict[str, str]] = []
    for path in sorted(Path(images).glob("*.nii*")):
        item = {"image": str(path)}
        if bones is not None:
            item["bones"] = str(Path(bones) / f"{path.name.split('.nii')[0]}_bones.nii.gz")
        found.append(item)
    return found


def read_all(
    dataset: Iterable[Item],
    network: torch.nn.Module,
    inferer: Callable[..., torch.Tensor],
    after: Callable[[Item], Item],
    device: torch.device,
) -> None:
    """Read each image with the network and write what it says."""
    for item in dataset:
        with torch.no_grad():
            found = inferer(item["image"][None].to(device), network)[0].cpu()
        after({**item, "pred": found})


def field_of(image: MetaTensor) -> tuple[Array, Array]:
    """Ends of the box around the image as it was acquired, edges of voxels included."""
    ends = itertools.product(*((-0.5, int(n) - 0.5) for n in image.meta["spatial_shape"]))
    corners = np.array([(*end, 1) for end in ends])
    affine = np.asarray(image.meta["original_affine"])[:3]
    spl = corners.dot(affine.T).dot(_TO_SPL)
    return spl.min(axis=0), spl.max(axis=0)


@dataclass(frozen=True)
class Grid:
    """The network's grid over a field: a fixed shape, or a fixed spacing.

    Attributes:
        shape: Voxels along the axes; None where the spacing is fixed.
        spacing_mm: Distance of voxels.
        multiple_of: Shapes that the network takes.
        largest_field_mm: What is farther out is left out.
    """

    shape: Sequence[int] | None = None
    spacing_mm: Sequence[float] = (1.0, 1.0, 1.0)
    multiple_of: Sequence[int] = (1, 1, 1)
    largest_field_mm: Sequence[float] = (np.inf, np.inf, np.inf)

    def step(self, low: Array, high: Array) -> Array:
        """Distance of voxels in mm."""
        if self.shape is None:
            return np.array(self.spacing_mm)
        return np.asarray((high - low) / np.array(self.shape))

    def whole(self, low: Array, high: Array) -> Array:
        """Voxels of the whole grid."""
        if self.shape is not None:
            return np.array(self.shape)
        field, multiple = np.minimum(high - low, self.largest_field_mm), np.array(self.multiple_of)
        cells = np.maximum(np.ceil(field / self.spacing_mm - 1e-6), 1)
        return np.asarray(multiple * np.ceil(cells / multiple), dtype=int)

    def inside(self, low: Array, high: Array) -> Array:
        """Voxels inside the field: they alone are filled and normalised."""
        if self.shape is not None:
            return np.array(self.shape)
        cells = 2 * np.floor(((high - low) / np.array(self.spacing_mm) + 1 + 1e-6) / 2)
        return np.asarray(np.minimum(self.whole(low, high), cells), dtype=int)

    def affine(self, low: Array, high: Array) -> Array:
        """From voxels inside the field to mm (RAS), the field's middle in their middle."""
        step = self.step(low, high)
        start = (low + high) / 2 - step * (self.inside(low, high) - 1) / 2
        affine = np.zeros((4, 4))
        affine[0, 2], affine[1, 1], affine[2, 0] = -step[2], -step[1], step[0]
        affine[:, 3] = -start[2], -start[1], start[0], 1
        return affine


class OntoGridd(MapTransform):
    """Bring volumes to the network's grid; ``smoothed`` ones are blurred before it gets coarser."""

    def __init__(
        self,
        keys: Any,
        grid: Grid,
        mode: str = "bilinear",
        smoothed: bool = False,
    ) -> None:
        super().__init__(keys)
        self.grid, self.smoothed = grid, smoothed
        self.resample = SpatialResample(mode=mode, padding_mode="border")

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        """The item with these volumes on the grid."""
        item = dict(data)
        for key in self.key_iterator(item):
            volume, field = item[key], field_of(item[key])
            if self.smoothed:
                volume = self._smooth(volume, self.grid.step(*field))
            item[key] = self.resample(
                volume,
                dst_affine=torch.as_tensor(self.grid.affine(*field)),
                spatial_size=self.grid.inside(*field).tolist(),
            )
        return item

    def _smooth(self, volume: MetaTensor, step: Array) -> MetaTensor:
        ratios = step / np.array(volume.pixdim)
        widths = [0.42 * max(r * r - 1, 0) ** 0.5 if r > _BLURRED_ABOVE else 0 for r in ratios]
        blurred = ndimage.gaussian_filter(
            volume.numpy(), [0, *widths], mode="nearest", truncate=2.0
        )
        return convert_to_dst_type(blurred, volume)[0]


class PadToGridd(MapTransform):
    """Pad volumes with 0 from the voxels inside the field to the whole grid."""

    def __init__(self, keys: Any, grid: Grid) -> None:
        super().__init__(keys)
        self.grid = grid

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        """The item with these volumes padded."""
        item = dict(data)
        for key in self.key_iterator(item):
            whole = self.grid.whole(*field_of(item[key]))
            item[key] = SpatialPad(spatial_size=whole.tolist())(item[key])
        return item


class Channels(Transform):
    """Image and mask of any bone as channels of the network, the one that is missing empty.

    Args:
        order: Of ``image``, ``mask`` and ``empty``.
    """

    def __init__(self, order: Sequence[str]) -> None:
        self.order = tuple(order)

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        """The item with the channels as its image."""
        image, mask = data["image"], (data["bones"] > 0).float()
        parts = {"image": image, "mask": mask, "empty": torch.zeros_like(image)}
        return {**data, "image": torch.cat([parts[name] for name in self.order])}


class OffGrid(Transform):
    """Bring what the network said to the grid of the image as it was acquired."""

    def __init__(self) -> None:
        self.resample = SpatialResample(mode="bilinear", padding_mode="zeros")

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        """The item with its prediction on that grid."""
        image = data["image"]
        meta = {**image.meta, "affine": image.affine}
        found = self.resample(
            MetaTensor(torch.as_tensor(data["pred"]), meta=meta),
            dst_affine=image.meta["original_affine"],
            spatial_size=[int(n) for n in image.meta["spatial_shape"]],
        )
        return {**data, "pred": found}


class LargestPartsd(MapTransform):
    """The largest parts of each structure of a label map.

    Args:
        keys: Label maps.
        kept: Parts kept, by structure from 1 on.
        smallest_cm3: Smaller parts are left out.
    """

    def __init__(self, keys: Any, kept: Sequence[int], smallest_cm3: float) -> None:
        super().__init__(keys)
        self.kept, self.smallest_cm3 = tuple(kept), smallest_cm3

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        """The item with these label maps cleaned."""
        item = dict(data)
        for key in self.key_iterator(item):
            labels, volume = item[key].numpy()[0], item[key]
            voxel_mm3 = float(np.prod(np.array(volume.pixdim)))
            smallest = 1000 * self.smallest_cm3 / voxel_mm3
            cleaned = sum(
                bone * largest_parts(labels == bone, kept, smallest)
                for bone, kept in enumerate(self.kept, start=1)
            )
            item[key] = convert_to_dst_type(np.asarray(cleaned)[None], volume)[0]
        return item


def largest_parts(mask: Array, count: int, smallest: float) -> Array:
    """The largest parts of a mask (z, y, x) that have as many voxels as the smallest may."""
    parts = ndimage.label(mask, np.ones((3, 3, 3)))[0]
    sizes = np.bincount(parts.ravel())
    order = 1 + np.argsort(-sizes[1:], kind="stable")[:count]
    return np.isin(parts, [n for n in order if sizes[n] >= smallest])
