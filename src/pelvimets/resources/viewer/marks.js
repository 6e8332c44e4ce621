// What is drawn over a panel's slices: crosshair, rulers, the pen's size, the outline being drawn.

const CROSS = "rgba(120, 200, 250, 0.95)", CASING = "rgba(0, 0, 0, 0.55)", RULER = "#ffd65c", PEN = "#50dcff";
const GAP_PX = 9;

export class Marks {
  constructor(panel) {
    Object.assign(this, { panel, cross: true, rulers: [], ruler: null, pen: null });
    this.canvas = document.createElement("canvas");
    this.canvas.className = "marks";
    this.canvas.setAttribute("aria-hidden", "true");
    panel.canvas.parentElement.append(this.canvas);
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.canvas.parentElement;
    const scale = devicePixelRatio || 1;
    if (this.canvas.width !== width * scale || this.canvas.height !== height * scale) {
      Object.assign(this.canvas, { width: width * scale, height: height * scale });
    }
    const context = this.canvas.getContext("2d");
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, height);
    for (const tile of this.panel.tiles()) {
      context.save();
      context.beginPath();
      context.rect(...tile.box);
      context.clip();
      if (this.cross) this.drawCross(context, tile);
      for (const ruler of this.rulers) this.drawRuler(context, tile, ruler);
      if (this.ruler) this.drawRuler(context, tile, this.ruler);
      if (this.pen?.plane === tile.plane) this.drawPen(context, tile);
      context.restore();
    }
  }

  drawCross(context, { box, plane }) {
    const at = this.panel.pixelOf(this.panel.place, plane);
    if (!at) return;
    const [left, top, width, height] = box, [x, y] = at.map((value) => Math.round(value) + 0.5);
    const lines = [[left, y, x - GAP_PX, y], [x + GAP_PX, y, left + width, y], [x, top, x, y - GAP_PX], [x, y + GAP_PX, x, top + height]];
    for (const [colour, pen] of [[CASING, 3], [CROSS, 1]]) {
      context.strokeStyle = colour;
      context.lineWidth = pen;
      context.beginPath();
      for (const [x0, y0, x1, y1] of lines) { context.moveTo(x0, y0); context.lineTo(x1, y1); }
      context.stroke();
    }
  }

  // A ruler belongs to its plane, and shows where that slice is shown.
  drawRuler(context, { plane }, ruler) {
    if (ruler.plane !== plane || !this.panel.shows(ruler.from, plane)) return;
    const from = this.panel.pixelOf(ruler.from, plane), to = this.panel.pixelOf(ruler.to, plane);
    if (!from || !to) return;
    for (const [colour, pen] of [[CASING, 4], [RULER, 1.5]]) {
      context.strokeStyle = colour;
      context.lineWidth = pen;
      context.beginPath();
      context.moveTo(...from);
      context.lineTo(...to);
      context.stroke();
    }
    context.fillStyle = RULER;
    for (const [x, y] of [from, to]) context.fillRect(x - 2, y - 2, 4, 4);
    this.write(context, `${lengthOf(ruler).toFixed(1)} mm`, (from[0] + to[0]) / 2 + 8, (from[1] + to[1]) / 2 - 8);
  }

  write(context, text, x, y) {
    context.font = "12px system-ui, sans-serif";
    context.lineWidth = 3;
    context.strokeStyle = CASING;
    context.strokeText(text, x, y);
    context.fillText(text, x, y);
  }

  drawPen(context, { plane }) {
    const { at, radius, path } = this.pen;
    context.strokeStyle = PEN;
    context.lineWidth = 1.2;
    context.beginPath();
    if (path) path.forEach((mm, n) => {
      const point = this.panel.pixelOf(mm, plane);
      if (point) context[n ? "lineTo" : "moveTo"](...point);
    });
    else context.arc(...at, Math.max(radius, 1.5), 0, 2 * Math.PI);
    context.stroke();
  }
}

export const lengthOf = ({ from, to }) => Math.hypot(...from.map((value, axis) => value - to[axis]));
