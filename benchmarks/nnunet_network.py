"""The network that nnU-Net would take by default, for comparison only.

The form follows the rules of nnU-Net's planner (Isensee et al., Nat Methods 2021; in nnU-Net v2:
``experiment_planning``, ``get_pool_and_conv_props``), the layers are nnU-Net's own
``PlainConvUNet`` of the package dynamic-network-architectures::

    pip install --no-deps dynamic-network-architectures==0.4.4

(``--no-deps``, as its other networks ask for timm, and pip might change torch.) Left out: the
patch size, which nnU-Net derives from the memory of a GPU and is given here, and deep
supervision, which is a part of the loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

SMALLEST_CELLS = 4
FIRST_CHANNELS, MOST_CHANNELS = 32, 320

Triple = tuple[int, int, int]


@dataclass(frozen=True)
class Plan:
    """Strides, kernels and channels per level, finest first."""

    strides: tuple[Triple, ...]
    kernels: tuple[Triple, ...]
    channels: tuple[int, ...]

    @property
    def multiple_of(self) -> Triple:
        z, y, x = (int(torch.tensor(axis).prod()) for axis in zip(*self.strides, strict=True))
        return z, y, x


def plan(shape: Triple, spacing_mm: tuple[float, float, float]) -> Plan:
    """Halve each axis that has 8 cells left and is less than twice as coarse as the finest.

    A last axis is halved alone only from 12 cells on. An axis is convolved (kernel 3, not 1)
    from the level on at which it is less than twice as coarse as the finest; the deepest level
    convolves all. Channels double from 32 up to 320.
    """
    cells, step = list(shape), list(spacing_mm)
    kernel = [1, 1, 1]
    strides, kernels = [(1, 1, 1)], []
    while axes := _axes_to_halve(cells, step):
        kernel = [3 if s < 2 * min(step) else k for k, s in zip(kernel, step, strict=True)]
        kernels.append(_triple(kernel))
        strides.append(_triple([2 if axis in axes else 1 for axis in range(3)]))
        for axis in axes:
            cells[axis], step[axis] = -(-cells[axis] // 2), 2 * step[axis]
    kernels.append((3, 3, 3))
    channels = tuple(min(FIRST_CHANNELS * 2**n, MOST_CHANNELS) for n in range(len(strides)))
    return Plan(tuple(strides), tuple(kernels), channels)


def _axes_to_halve(cells: list[int], step: list[float]) -> list[int]:
    large = [axis for axis in range(3) if cells[axis] >= 2 * SMALLEST_CELLS]
    if not large:
        return []
    finest = min(step[axis] for axis in large)
    axes = [axis for axis in large if step[axis] < 2 * finest]
    alone_and_short = len(axes) == 1 and cells[axes[0]] < 3 * SMALLEST_CELLS
    return [] if alone_and_short else axes


def _triple(values: list[int]) -> Triple:
    z, y, x = values
    return z, y, x


def nnunet_network(inputs: int, outputs: int, planned: Plan) -> nn.Module:
    """nnU-Net's default network with its own initialisation."""
    from dynamic_network_architectures.architectures.unet import PlainConvUNet

    options: dict[str, Any] = {
        "norm_op": nn.InstanceNorm3d,
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "nonlin": nn.LeakyReLU,
        "nonlin_kwargs": {"inplace": True},
    }
    levels = len(planned.strides)
    network = PlainConvUNet(
        inputs,
        levels,
        planned.channels,
        nn.Conv3d,
        planned.kernels,
        planned.strides,
        2,
        outputs,
        2,
        conv_bias=True,
        **options,
    )
    return network.apply(PlainConvUNet.initialize)
