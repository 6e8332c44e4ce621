"""Both networks and the cascade, drawn from a bundle: ``python docs/pictures/networks.py [OUT]``.

Writes ``networks.svg``. Forms come from the weights of the shipped bundle, grids and rules from
its settings, the slice is a digital patient read by it. What was drawn stands in the picture's
metadata, so that a test can tell when the bundle has changed since.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from network_facts import Facts, Form, bundle_facts
from network_scene import WINDOW_MM, View, draw_views
from svg_page import INK, Page, Point

from pelvimets.labels import Sequence
from pelvimets.model.bundle import installed_bundles, load_segmenter

WIDTH = 1240
MARGIN = 20
SMALL, TEXT = 13.5, 14.5
PALE, BAND, GREY = "#f4f6f8", "#f0f3f6", "#697586"
STEP_COLOUR = {1: "#2f6f9f", 2: "#b5532a"}
STEP_PALE = {1: "#e3eef6", 2: "#f8e9e1"}
DOWN, UP, SKIP, FOLD = "#8c2d19", "#2d6a4f", "#8a94a3", "#5b3f8c"


def main() -> None:
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    segmenter = load_segmenter()
    facts = bundle_facts(shipped_folder(segmenter.name))
    path = out / "networks.svg"
    path.write_text(drawn(facts, draw_views(segmenter)).svg())
    print(path, f"{path.stat().st_size / 1000:.0f} kB")


def shipped_folder(name_and_version: str) -> Path:
    """Folder of the bundle that is read by default."""
    name = name_and_version.rsplit(" ", 1)[0]
    return next(info.folder for info in installed_bundles() if info.name == name)


def metadata(facts: Facts) -> str:
    return json.dumps(asdict(facts), sort_keys=True)


def drawn(facts: Facts, views: dict[Sequence, View]) -> Page:
    deepest = max(len(form.channels) for form in (facts.bones, facts.lesions)) - 1
    bottom = level_y(deepest) + ROW / 2
    page = Page(WIDTH, bottom + 56, metadata(facts))
    draw_cascade(page, facts, views)
    half = (WIDTH - 3 * MARGIN) / 2
    draw_network(page, 1, facts.bones, views, MARGIN)
    draw_network(page, 2, facts.lesions, views, 2 * MARGIN + half)
    draw_key(page, bottom + 32)
    return page


def draw_title(page: Page, at: Point, letter: str, words: str) -> None:
    page.text(at, letter, 17, bold=True)
    page.text((at[0] + 26, at[1]), words, 17, bold=True)


# --- the cascade -------------------------------------------------------------------------

PICTURE: Point = (188, 141)
COLUMNS = {"study": 20, "bones": 392, "lesions": 764}  # left edges of the pictures
BOXES = {1: 244, 2: 616}
BOX_WIDTH = 112
ROWS = {Sequence.DWI: 68, Sequence.T1: 239}
STAGE_LEFT = 1026


def draw_cascade(page: Page, facts: Facts, views: dict[Sequence, View]) -> None:
    draw_title(page, (MARGIN, 28), "A", "The cascade")
    source = "in silico: a digital patient,\nread by the shipped bundle"
    page.text((WIDTH - MARGIN, 28), source, SMALL, anchor="end", colour=GREY)
    for sequence, view in views.items():
        draw_row(page, sequence, view)
    for step, form in ((1, facts.bones), (2, facts.lesions)):
        draw_box(page, step, form)
    draw_rules(page, facts)
    draw_stage(page, facts)


def draw_row(page: Page, sequence: Sequence, view: View) -> None:
    top = ROWS[sequence]
    middle = top + PICTURE[1] / 2
    title = {"dwi": "DWI, b = 800–1000 s/mm²", "t1": "T1, Dixon in phase"}[sequence.value]
    page.text((COLUMNS["study"], top - 7), title, 13, bold=True)
    for column, rgb, alt in (
        ("study", view.image, f"{sequence.title} of a digital patient"),
        ("bones", view.bones, "the same with the bones found"),
        ("lesions", view.lesions, "the same with the metastases found"),
    ):
        page.picture((COLUMNS[column], top), PICTURE, rgb, alt)
    right = {name: left + PICTURE[0] for name, left in COLUMNS.items()}
    for start, end in (
        (right["study"] + 4, BOXES[1] - 3),
        (BOXES[1] + BOX_WIDTH + 3, COLUMNS["bones"] - 4),
        (right["bones"] + 4, BOXES[2] - 3),
        (BOXES[2] + BOX_WIDTH + 3, COLUMNS["lesions"] - 4),
    ):
        page.arrow([(start, middle), (end, middle)], INK)
    draw_bypass(page, sequence)


def draw_bypass(page: Page, sequence: Sequence) -> None:
    """The image itself goes into the second network too."""
    upper = sequence is Sequence.DWI
    top = ROWS[sequence]
    edge = top if upper else top + PICTURE[1]
    off = -24 if upper else 24
    x0, x1 = COLUMNS["study"] + PICTURE[0] + 16, BOXES[2] + BOX_WIDTH / 2
    box_edge = box_top() - 3 if upper else box_bottom() + 3
    page.arrow(
        [(x0, top + PICTURE[1] / 2), (x0, edge + off), (x1, edge + off), (x1, box_edge)],
        GREY,
        width=1.6,
        dashed=True,
    )
    if upper:
        centre = COLUMNS["bones"] + PICTURE[0] / 2
        page.text((centre, edge + off - 6), "the image, too", SMALL, anchor="middle", colour=GREY)


def box_top() -> float:
    return ROWS[Sequence.DWI] + 12


def box_bottom() -> float:
    return ROWS[Sequence.T1] + PICTURE[1] - 12


def draw_box(page: Page, step: int, form: Form) -> None:
    left, top, bottom = BOXES[step], box_top(), box_bottom()
    page.rectangle(
        (left, top), (BOX_WIDTH, bottom - top), STEP_PALE[step], STEP_COLOUR[step], 8, 1.6
    )
    centre, middle = left + BOX_WIDTH / 2, (top + bottom) / 2
    page.text((centre, middle - 62), f"Network {step}", 15, anchor="middle", bold=True)
    page.text((centre, middle - 42), ("", "bones", "metastases")[step], 15, anchor="middle")
    draw_sign(page, (centre, middle - 6), STEP_COLOUR[step])
    weights = (
        "weights of its\nown for DWI\nand for T1"
        if form.own_per_sequence
        else ("the same\nweights for\nDWI and T1")
    )
    page.text((centre, middle + 48), weights, SMALL, anchor="middle", colour=GREY)


def draw_sign(page: Page, centre: Point, colour: str) -> None:
    """A small U."""
    for n, (height, low) in enumerate(((22, 0), (17, 9), (12, 18), (17, 9), (22, 0))):
        at = (centre[0] - 31 + 14 * n, centre[1] - 20 + low + (22 - height) / 2)
        page.rectangle(at, (6, height), colour, radius=1)


def draw_rules(page: Page, facts: Facts) -> None:
    """What happens between the networks, under the pictures."""
    rules = facts.rules
    y = ROWS[Sequence.T1] + PICTURE[1] + 42
    least = rules.smallest_score
    surest = f" and a score of {least:.3g}" if least else ""
    share = f";\non DWI {rules.t1_in_dwi:.0%} of what T1 shows" if rules.t1_in_dwi else ""
    texts = {
        "study": "onto the network's grid,\nscaled, z-scored",
        "bones": f"the {in_words(rules.keep_components_per_bone)} largest parts of each bone, "
        f"{in_words(rules.keep_vertebrae)} of\nthe vertebrae; from "
        f"{rules.smallest_component_cm3:g} cm³{share}",
        "lesions": f"from {rules.drop_below_cm3:g} cm³{surest},\n"
        f"at most {rules.bone_margin_mm:g} mm outside the bones",
    }
    for column, text in texts.items():
        page.text((COLUMNS[column] + PICTURE[0] / 2, y), text, SMALL, anchor="middle")


def draw_stage(page: Page, facts: Facts) -> None:
    left, words = STAGE_LEFT, stage_words(facts)
    right = COLUMNS["lesions"] + PICTURE[0]
    middle = (box_top() + box_bottom()) / 2
    for row in ROWS.values():
        start = row + PICTURE[1] / 2
        page.arrow(
            [(right + 5, start), (right + 38, start), (right + 38, middle), (left - 3, middle)], INK
        )
    size = (WIDTH - MARGIN - left, 72 + 1.3 * TEXT * (1 + words.count("\n")))
    top = middle - size[1] / 2
    page.rectangle((left, top), size, PALE, INK, 8, 1.6)
    centre = left + size[0] / 2
    page.text((centre, top + 34), "Lesions and M stage", 15, anchor="middle", bold=True)
    page.text((centre, top + 64), words, TEXT, anchor="middle")


def stage_words(facts: Facts) -> str:
    rules = facts.rules
    lines = ["a lesion on either", "sequence counts; seen", "on both, it is one", ""]
    if rules.joined:
        lines += ["masks from both", "sequences' networks", ""]
    if rules.judged:
        lines += ["score from both", "sequences, ADC, size", ""]
    lines += ["suspicious for M1b", f"from a score of {rules.operating_point:.3g}"]
    if rules.weak_sequences:
        names = " and ".join(Sequence(s).title for s in rules.weak_sequences)
        lines += [f"({names}:", "listed only)"]
    return "\n".join(lines)


def mm(spacing: tuple[float, ...]) -> str:
    return " × ".join(f"{v:g}" for v in spacing) + " mm"


def in_words(number: int) -> str:
    known = ("no", "one", "two", "three", "four", "five", "six")
    return known[number] if number < len(known) else str(number)


# --- one network -------------------------------------------------------------------------

TOP = 520
FIRST_ROW, ROW = 118, 64
BLOCK_HEIGHT, SHRINK = 46, 0.84
CENTRE, HALF_SPREAD = 377, 156
ENDS = {-1: "end", 1: "start"}  # of a text beside a block


def draw_network(
    page: Page, step: int, form: Form, views: dict[Sequence, View], left: float
) -> None:
    title = f"Network {step}: {('bones', 'metastases inside the bones')[step - 1]}"
    draw_title(page, (left, TOP - 14), "BC"[step - 1], title)
    half = (WIDTH - 3 * MARGIN) / 2
    note = f"{form.weights / 1e6:.1f} million weights"
    page.text((left + half, TOP - 14), note, SMALL, anchor="end", colour=GREY)
    draw_bands(page, form, left, half)
    drawing = Unfolded(page, step, form, left + CENTRE)
    drawing.draw()
    draw_ends(page, step, form, views, drawing)


def level_y(level: int) -> float:
    return TOP + FIRST_ROW + ROW * (level + 0.5)


def draw_bands(page: Page, form: Form, left: float, width: float) -> None:
    """A row for the voxels and one for each level, with the size of its cells."""
    page.rectangle((left, TOP), (width, FIRST_ROW - 4), BAND, radius=5)
    page.text((left + 10, TOP + 22), "voxels", SMALL, colour=GREY)
    page.text((left + 10, TOP + 39), mm(form.grid_mm), TEXT)
    page.text((left + 10, TOP + 62), f"{form.inputs} in, {form.outputs} out", SMALL, colour=GREY)
    for level in range(len(form.channels)):
        y = level_y(level)
        page.rectangle((left, y - ROW / 2 + 2), (width, ROW - 4), PALE, radius=5)
        if level == 0:
            page.text((left + 10, y - 10), "cells", SMALL, colour=GREY)
        page.text((left + 10, y + 8), mm(form.cell_mm(level)), TEXT)


class Unfolded:
    """The U of one network, about a middle line."""

    def __init__(self, page: Page, step: int, form: Form, centre: float) -> None:
        self.page, self.step, self.form, self.centre = page, step, form, centre
        self.last = len(form.channels) - 1

    def x(self, level: int, way: int) -> float:
        """Middle of a block; ``way`` is -1 going down, 1 going up."""
        return self.centre + way * HALF_SPREAD * (1 - level / self.last)

    def slabs(self, level: int, way: int) -> tuple[int, float]:
        """Number and width of the slabs of a block; one for each convolution."""
        count = (self.form.down if way < 0 else self.form.up)[level]
        return count, 3 + 0.8 * self.form.channels[level] ** 0.5

    def half_width(self, level: int, way: int) -> float:
        count, width = self.slabs(level, way)
        return (count * width + (count - 1) * 2) / 2

    def half_height(self, level: int) -> float:
        return BLOCK_HEIGHT * SHRINK**level / 2

    def draw(self) -> None:
        for level in range(self.last + 1):
            self.block(level, -1)
            if level < self.last:
                self.block(level, 1)
                self.skip(level)
                self.halve(level)
                self.unfold(level)

    def block(self, level: int, way: int) -> None:
        count, width = self.slabs(level, way)
        x, y, half = self.x(level, way), level_y(level), self.half_height(level)
        for n in range(count):
            at = (x - self.half_width(level, way) + n * (width + 2), y - half)
            self.page.rectangle(
                at, (width, 2 * half), STEP_PALE[self.step], STEP_COLOUR[self.step], 1, 1.4
            )
        if level == 0:  # stem and head come from above
            at, anchor = (x + way * (self.half_width(0, way) + 5), y - half + 9), ENDS[way]
        else:
            at, anchor = (x, y - half - 5), "middle"
        self.page.text(at, str(self.form.channels[level]), SMALL, anchor=anchor, bold=True)

    def skip(self, level: int) -> None:
        y = level_y(level)
        start = self.x(level, -1) + self.half_width(level, -1) + 4
        end = self.x(level, 1) - self.half_width(level, 1) - 4
        self.page.arrow([(start, y), (end, y)], SKIP, width=1.8)

    def halve(self, level: int) -> None:
        x, y = self.x(level, -1), level_y(level + 1)
        end = self.x(level + 1, -1) - self.half_width(level + 1, -1) - 3
        start = level_y(level) + self.half_height(level) + 3
        self.page.arrow([(x, start), (x, y), (end, y)], DOWN)

    def unfold(self, level: int) -> None:
        below = 1 if level + 1 < self.last else -1
        x, y = self.x(level, 1), level_y(level + 1)
        start = self.x(level + 1, below) + self.half_width(level + 1, below) + 3
        self.page.arrow([(start, y), (x, y), (x, level_y(level) + self.half_height(level) + 3)], UP)


def draw_ends(
    page: Page, step: int, form: Form, views: dict[Sequence, View], drawing: Unfolded
) -> None:
    """Pictures of what goes in and comes out, with the stem and the head."""
    view = views[Sequence.DWI]
    height = (68, 48)[step - 1]
    bottom = TOP + 24 + height
    if step == 1:
        draw_pictures(page, drawing.x(0, -1), height, {"DWI or T1": view.image})
    else:
        inputs = {"DWI": view.image, "bones": view.mask, "T1": 0 * view.image}
        draw_pictures(page, drawing.x(0, -1), height, inputs)
        words = "for T1: empty, bones, T1"
        page.text((drawing.x(0, -1), bottom + 15), words, SMALL, anchor="middle", colour=GREY)
        bottom += 18
    answer = {"eight bones": view.bones} if step == 1 else {"metastases": view.lesions}
    draw_pictures(page, drawing.x(0, 1), 68, answer)
    draw_folding(page, form, drawing, bottom + 4)


def draw_pictures(page: Page, x: float, height: float, pictures: dict[str, np.ndarray]) -> None:
    """Pictures in a row about x, each under its name."""
    width = height * WINDOW_MM[1] / WINDOW_MM[0]
    left = x - (len(pictures) * (width + 4) - 4) / 2
    for n, (name, rgb) in enumerate(pictures.items()):
        at = (left + n * (width + 4), TOP + 24)
        page.picture(at, (width, height), rgb, name)
        page.text((at[0] + width / 2, TOP + 17), name, SMALL, anchor="middle")


def draw_folding(page: Page, form: Form, drawing: Unfolded, start: float) -> None:
    """Stem and head, between voxels and cells."""
    x_in, x_out = drawing.x(0, -1), drawing.x(0, 1)
    end = level_y(0) - drawing.half_height(0) - 3
    page.arrow([(x_in, start), (x_in, end)], FOLD)
    page.arrow([(x_out, end), (x_out, TOP + 24 + 68 + 4)], FOLD)
    stem = " × ".join(str(n) for n in form.stem)
    y = TOP + FIRST_ROW - 10
    page.text((x_in + 10, y), stem, SMALL, colour=FOLD)
    page.text((x_out - 10, y), stem, SMALL, anchor="end", colour=FOLD)


def draw_key(page: Page, y: float) -> None:
    x = float(MARGIN)
    page.rectangle((x, y - 12), (8, 16), "white", INK, 1, 1.4)
    page.text((x + 14, y), "3 × 3 × 3 convolution, instance normalisation, leaky ReLU", SMALL)
    x += 456
    for colour, text, width in (
        (FOLD, "voxels to cells and back", 224),
        (DOWN, "halve", 96),
        (UP, "double", 104),
        (SKIP, "skip", 88),
    ):
        page.arrow([(x, y - 5), (x + 26, y - 5)], colour)
        page.text((x + 33, y), text, SMALL)
        x += width
    page.text((x, y), "24", SMALL, bold=True)
    page.text((x + 24, y), "feature maps", SMALL)


if __name__ == "__main__":
    main()
