// A shape being drawn on one image: pens in millimetres, undo and redo. Knows voxels, not the page.
//
// Voxels are counted in the patient's order (right to left, back to front, feet to head: RAS), as
// NiiVue's bitmap has them; files may be stored in another order.

const STEPS = 60;
const NORMAL = [2, 1, 0];  // of an axial, coronal, sagittal tile: the axis (x, y, z) across it

export class Drawing {
  // base: NiiVue's volume; bitmap: a byte per voxel, not 0 where drawn
  constructor(base, bitmap) {
    Object.assign(this, { base, bitmap, done: [], undone: [], stroke: null, outline: null });
    this.size = base.dimsRAS.slice(1, 4);
    this.mm = base.pixDimsRAS.slice(1, 4).map(Math.abs);
    this.pen = { tool: "brush", erase: false, diameter: 8, range: null };
  }

  stored([x, y, z]) {
    const { img2RASstart: start, img2RASstep: step } = this.base;
    return start[0] + start[1] + start[2] + x * step[0] + y * step[1] + z * step[2];
  }

  at([x, y, z]) { return x + this.size[0] * (y + this.size[1] * z); }

  forEachVoxel(visit) {
    const [nx, ny, nz] = this.size;
    for (let z = 0, at = 0; z < nz; z += 1) for (let y = 0; y < ny; y += 1) {
      for (let x = 0; x < nx; x += 1, at += 1) visit(at, this.stored([x, y, z]));
    }
  }

  fill(labels, label) {
    this.forEachVoxel((at, stored) => { this.bitmap[at] = labels[stored] === label ? 1 : 0; });
  }

  // One byte per voxel in the file's order.
  voxels() {
    const out = new Uint8Array(this.bitmap.length);
    this.forEachVoxel((at, stored) => { out[stored] = this.bitmap[at] ? 1 : 0; });
    return out;
  }

  get count() { return this.bitmap.reduce((sum, value) => sum + (value ? 1 : 0), 0); }

  // ---- strokes; places are fractions of the field, 0 to 1 along each axis

  place(fraction) { return this.size.map((n, axis) => fraction[axis] * n - 0.5); }

  begin(fraction, plane) {
    this.stroke = new Map();
    this.plane = NORMAL[plane];
    this.last = this.place(fraction);
    this.outline = this.pen.tool === "fill" ? [this.last] : null;
    if (!this.outline) this.dab(this.last);
  }

  move(fraction) {
    if (!this.stroke) return;
    const to = this.place(fraction), from = this.last;
    this.last = to;
    if (this.outline) { this.outline.push(to); return; }
    const far = Math.hypot(...to.map((value, axis) => (value - from[axis]) * this.mm[axis]));
    const steps = Math.max(1, Math.ceil(far / Math.max(this.pen.diameter / 4, Math.min(...this.mm) / 2)));
    for (let n = 1; n <= steps; n += 1) this.dab(from.map((value, axis) => value + (to[axis] - value) * n / steps));
  }

  end() {
    if (!this.stroke) return;
    if (this.outline) this.fillOutline();
    const at = Uint32Array.from(this.stroke.keys()), before = Uint8Array.from(this.stroke.values());
    this.stroke = this.outline = null;
    if (!at.length) return;
    this.done.push({ at, before, after: Uint8Array.from(at, (index) => this.bitmap[index]) });
    if (this.done.length > STEPS) this.done.shift();
    this.undone = [];
  }

  set(voxel) {
    const { range, erase } = this.pen, at = this.at(voxel), value = erase ? 0 : 1;
    if (this.bitmap[at] === value) return;
    if (range && !erase) {
      const { img, hdr } = this.base;
      const grey = img[this.stored(voxel)] * (hdr.scl_slope || 1) + (hdr.scl_inter || 0);
      if (grey < range[0] || grey > range[1]) return;
    }
    if (!this.stroke.has(at)) this.stroke.set(at, this.bitmap[at]);
    this.bitmap[at] = value;
  }

  // A disc in the plane, or a ball, about a place; the voxel there belongs to it however thin the pen.
  dab(centre) {
    const radius = this.pen.diameter / 2, flat = this.pen.tool !== "ball";
    const span = centre.map((value, axis) => {
      const reach = flat && axis === this.plane ? 0 : radius / this.mm[axis];
      const low = Math.max(0, Math.round(value - reach)), high = Math.min(this.size[axis] - 1, Math.round(value + reach));
      return [low, high];
    });
    const nearest = centre.map(Math.round);
    for (let z = span[2][0]; z <= span[2][1]; z += 1) for (let y = span[1][0]; y <= span[1][1]; y += 1) {
      for (let x = span[0][0]; x <= span[0][1]; x += 1) {
        const voxel = [x, y, z];
        const far = voxel.reduce((sum, value, axis) => (
          flat && axis === this.plane ? sum : sum + ((value - centre[axis]) * this.mm[axis]) ** 2), 0);
        if (far <= radius * radius || voxel.every((value, axis) => value === nearest[axis])) this.set(voxel);
      }
    }
  }

  fillOutline() {
    const [a, b] = [0, 1, 2].filter((axis) => axis !== this.plane), points = this.outline;
    const level = Math.round(points[0][this.plane]);
    if (level < 0 || level >= this.size[this.plane]) return;
    const within = (value, axis) => Math.min(Math.max(value, 0), this.size[axis] - 1);
    const bound = (axis, pick) => within(Math.round(pick(...points.map((point) => point[axis]))), axis);
    for (let q = bound(b, Math.min); q <= bound(b, Math.max); q += 1) for (let p = bound(a, Math.min); p <= bound(a, Math.max); p += 1) {
      if (!encloses(points, a, b, p, q)) continue;
      const voxel = [0, 0, 0];
      [voxel[a], voxel[b], voxel[this.plane]] = [p, q, level];
      this.set(voxel);
    }
  }

  undo() { this.step(this.done, this.undone, "before"); }
  redo() { this.step(this.undone, this.done, "after"); }

  step(from, to, values) {
    const change = from.pop();
    if (!change) return;
    change.at.forEach((at, n) => { this.bitmap[at] = change[values][n]; });
    to.push(change);
  }
}

// Whether a point lies inside a closed outline (even-odd rule).
function encloses(points, a, b, p, q) {
  let inside = false;
  for (let i = 0, j = points.length - 1; i < points.length; j = i, i += 1) {
    const [pi, qi, pj, qj] = [points[i][a], points[i][b], points[j][a], points[j][b]];
    if ((qi > q) !== (qj > q) && p < (pj - pi) * (q - qi) / (qj - qi) + pi) inside = !inside;
  }
  return inside;
}
