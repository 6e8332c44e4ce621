// One image of the study in one canvas: three planes or one, with bones and lesions over it.
import { Niivue, NVImage, SLICE_TYPE, DRAG_MODE, SHOW_RENDER, cmapper } from "./niivue.js";
import { Drawing } from "./draw.js";
import { Marks } from "./marks.js";
import { dragTool, showPen } from "./tools.js";
import { OUTLINE_PIXELS, SLICE_SHADER } from "./slice.js";
import { dragged, presetsFor, rangeOf, sampled } from "./windows.js";

const { AXIAL, CORONAL, SAGITTAL } = SLICE_TYPE;
const PLANE_NAMES = ["axial", "coronal", "sagittal"];
const PLANES = { axial: AXIAL, coronal: CORONAL, sagittal: SAGITTAL };
const WIDE = [
  { sliceType: AXIAL, position: [0, 0, 0.62, 1] },
  { sliceType: CORONAL, position: [0.62, 0, 0.38, 0.5] },
  { sliceType: SAGITTAL, position: [0.62, 0.5, 0.38, 0.5] },
];
const TALL = [
  { sliceType: AXIAL, position: [0, 0, 1, 0.6] },
  { sliceType: CORONAL, position: [0, 0.6, 0.5, 0.4] },
  { sliceType: SAGITTAL, position: [0.5, 0.6, 0.5, 0.4] },
];
export const COLOURS = { pending: [240, 169, 46], accepted: [238, 91, 60], rejected: [125, 135, 147], prior: [245, 105, 215] };
const PEN_COLOUR = [80, 220, 255];
const LESION_FIELD_MM = 110;
const LARGEST_ZOOM = 16;

export function volumeFrom(buffer, name) {
  return NVImage.loadFromUrl({ url: buffer, name: `${name}.nii` });
}

export async function labelMap(buffer, name, colours, opacity) {
  const volume = await volumeFrom(buffer, name);
  volume.setColormapLabel(colours);
  volume.opacity = opacity;
  return volume;
}

export function boneColours(bones, hidden = null) {
  const at = (channel) => [0, ...bones.map((bone) => bone.colour[channel])];
  return {
    R: at(0), G: at(1), B: at(2), A: [0, ...bones.map((bone) => (bone.value === hidden ? 0 : 255))],
    I: [0, ...bones.map((bone) => bone.value)], labels: ["", ...bones.map((bone) => bone.title)],
  };
}

// Colours of a sequence's lesion labels by verdict; hidden ones are left out.
export function lesionColours(lesions, sequence, hidden = null) {
  const shown = lesions.filter((lesion) => sequence in lesion.labels && lesion.number !== hidden);
  const rows = [[0, [0, 0, 0], 0]];
  for (const lesion of shown) {
    rows.push([lesion.labels[sequence], COLOURS[lesion.verdict], lesion.verdict === "rejected" ? 110 : 255]);
  }
  const top = Math.max(1, ...lesions.map((lesion) => lesion.labels[sequence] ?? 0));
  for (let label = 1; label <= top; label += 1) {
    if (!rows.some(([value]) => value === label)) rows.push([label, [0, 0, 0], 0]);
  }
  rows.sort((a, b) => a[0] - b[0]);
  const at = (channel) => rows.map(([, colour]) => colour[channel]);
  return { R: at(0), G: at(1), B: at(2), A: rows.map((row) => row[2]), I: rows.map((row) => row[0]), labels: rows.map(() => "") };
}

// Lesions of a prior study: all alike, for they are not judged here.
export function priorColours(labels) {
  const all = Array.from({ length: Math.max(1, labels) }, (_, n) => n + 1), at = (channel) => [0, ...all.map(() => COLOURS.prior[channel])];
  return { R: at(0), G: at(1), B: at(2), A: [0, ...all.map(() => 255)], I: [0, ...all], labels: ["", ...all.map(() => "")] };
}

export class ImagePanel {
  // events: moved(panel, mm), viewChanged(panel), focused(panel), windowed(panel)
  constructor(image, element, events) {
    Object.assign(this, { image, element, events, preset: "auto", inverted: false, planes: "all" });
    this.canvas = element.querySelector("canvas");
    this.nv = new Niivue({
      backColor: [0, 0, 0, 1], crosshairWidth: 0,
      isRadiologicalConvention: true, sagittalNoseLeft: true, multiplanarShowRender: SHOW_RENDER.NEVER,
      dragAndDropEnabled: false, loadingText: "", logLevel: "error", isAntiAlias: false,
      fontMinPx: 11, fontSizeScaling: 0.1, fontColor: [0.62, 0.68, 0.75, 1],
      clipPlaneHotKey: "", cycleClipPlaneHotKey: "", viewModeHotKey: "",
      isRuler: false,
      dragMode: DRAG_MODE.none, dragModePrimary: DRAG_MODE.crosshair,
      mouseEventConfig: {
        leftButton: { primary: DRAG_MODE.crosshair, withShift: DRAG_MODE.pan, withCtrl: DRAG_MODE.crosshair },
        rightButton: DRAG_MODE.none, centerButton: DRAG_MODE.pan,
      },
    });
    this.nv.meshShaders = [];  // no meshes: nothing to compile for them
    this.nv.keyDownListener = () => {};  // keys are read in one place, keys.js
    this.nv.keyUpListener = () => {};
    this.nv.resetBriCon = () => {};  // a double click is not meant to lose the window
    this.nv.onLocationChange = (place) => this.events.moved(this, place.mm);
    this.marks = new Marks(this);
    const draw = this.nv.drawScene.bind(this.nv);
    this.nv.drawScene = (...given) => {
      const drawn = draw(...given);
      this.marks.draw();
      return drawn;
    };
  }

  async open(buffer) {
    this.listen();
    await this.nv.attachToCanvas(this.canvas, false);
    this.nv.setCustomSliceShader(SLICE_SHADER);
    const volume = await volumeFrom(buffer, this.image.key);
    this.sample = sampled(volume.img, volume.hdr.scl_slope || 1, volume.hdr.scl_inter || 0);
    const [low, high] = rangeOf(presetsFor(this.image.key)[this.preset], this.sample);
    Object.assign(volume, { cal_min: low, cal_max: high });
    this.nv.addVolume(volume);
    this.events.windowed(this);
    this.layOut();
    new ResizeObserver(() => this.layOut()).observe(this.canvas.parentElement);
  }

  get base() { return this.nv.volumes[0]; }
  get opened() { return this.nv.volumes.length > 0; }

  // Capture phase: a reader's right button, wheel, pens and focus come before the canvas's own.
  listen() {
    const box = this.canvas.parentElement;
    box.addEventListener("pointerdown", (event) => {
      this.events.focused(this);
      if (event.button === 2) this.dragWindow(event);
      if (this.takesLeft(event)) dragTool(this, event);
    }, true);
    box.addEventListener("mousedown", (event) => { if (event.button === 2 || this.takesLeft(event)) event.stopPropagation(); }, true);
    box.addEventListener("dblclick", (event) => {
      event.stopPropagation();
      const tile = this.tileAt(event);
      if (tile && !this.takesLeft(event)) this.events.enlarged(this, PLANE_NAMES[tile.plane]);
    }, true);
    box.addEventListener("contextmenu", (event) => event.preventDefault(), true);
    box.addEventListener("pointermove", (event) => {
      if (event.buttons & 5) this.events.viewChanged(this);
      showPen(this, event);
    });
    box.addEventListener("pointerleave", () => { this.marks.pen = null; this.marks.draw(); });
    box.addEventListener("pointerenter", () => this.events.focused(this));
    box.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      event.stopPropagation();
      this.zoomBy(event.deltaY < 0 ? 1.12 : 1 / 1.12);
    }, { capture: true, passive: false });
  }

  // Whether the left button draws or measures here, rather than place the crosshair.
  takesLeft(event) { return event.button === 0 && !event.shiftKey && Boolean(this.drawing || this.measuring); }

  // ---- from the screen to the patient and back

  // Tiles on the screen, in CSS pixels of the canvas.
  tiles() {
    const dpr = this.nv.uiData.dpr || 1;
    return this.nv.screenSlices.filter((slice) => slice.axCorSag < 3)
      .map((slice) => ({ plane: slice.axCorSag, box: slice.leftTopWidthHeight.map((value) => value / dpr) }));
  }

  tileAt(event) {
    const [x, y] = this.inCanvas(event);
    return this.tiles().find(({ box }) => x >= box[0] && y >= box[1] && x < box[0] + box[2] && y < box[1] + box[3]);
  }

  inCanvas(event) {
    const box = this.canvas.getBoundingClientRect();
    return [event.clientX - box.x, event.clientY - box.y];
  }

  fractionAt(event) {
    const dpr = this.nv.uiData.dpr || 1;
    return Array.from(this.nv.canvasPos2frac(this.inCanvas(event).map((value) => value * dpr))).slice(0, 3);
  }

  // Places of the patient (mm) and fractions of the image, also where the scanner was tilted. NiiVue
  // shows such an image upright; places on that display (laid) are those of pan and zoom alone.
  mmOf(fraction) { return Array.from(this.nv.frac2mm(fraction, 0, true).slice(0, 3)); }
  fractionOf(mm) { return Array.from(this.nv.mm2frac(mm, 0, true).slice(0, 3)); }
  laid(mm) { return Array.from(this.nv.frac2mm(this.fractionOf(mm)).slice(0, 3)); }
  mmAt(event) { return this.mmOf(this.fractionAt(event)); }

  pixelOf(mm, plane) {
    const dpr = this.nv.uiData.dpr || 1, found = this.nv.frac2canvasPosWithTile(this.fractionOf(mm), plane);
    return found && [found.pos[0] / dpr, found.pos[1] / dpr];
  }

  // Whether the slice through a place is the one that is shown.
  shows(mm, plane) {
    const axis = [2, 1, 0][plane], apart = this.fractionOf(mm)[axis] - this.nv.scene.crosshairPos[axis];
    return Math.abs(apart) * this.base.dimsRAS[axis + 1] <= 0.5;
  }

  pixelsPerMm(event, plane) {
    const along = plane === 2 ? 1 : 0, fraction = this.fractionAt(event), here = this.mmOf(fraction);
    fraction[along] += 10 / (this.base.dimsRAS[along + 1] * this.base.pixDimsRAS[along + 1]);
    const there = this.mmOf(fraction);
    const from = this.pixelOf(here, plane), to = this.pixelOf(there, plane);
    return from && to ? Math.hypot(to[0] - from[0], to[1] - from[1]) / 10 : 1;
  }

  clearRulers() {
    this.marks.rulers = [];
    this.marks.draw();
  }

  dragWindow(start) {
    const box = this.canvas.parentElement;
    const from = this.range, span = Math.max(this.span, 1e-6);
    box.setPointerCapture(start.pointerId);
    const move = (event) => this.setRange(dragged(from, event.clientX - start.clientX, event.clientY - start.clientY, span));
    const end = () => {
      box.removeEventListener("pointermove", move);
      box.removeEventListener("pointerup", end);
      box.removeEventListener("pointercancel", end);
    };
    box.addEventListener("pointermove", move);
    box.addEventListener("pointerup", end);
    box.addEventListener("pointercancel", end);
    start.preventDefault();
  }

  get range() { return [this.base.cal_min, this.base.cal_max]; }
  get span() { return this.sample[Math.round(0.995 * (this.sample.length - 1))] - this.sample[0]; }

  setRange([low, high], preset = "") {
    this.preset = preset;
    this.base.cal_min = low;
    this.base.cal_max = high;
    this.refresh("greys");
    this.events.windowed(this);
  }

  usePreset(name) {
    const preset = presetsFor(this.image.key)[name];
    if (preset) this.setRange(rangeOf(preset, this.sample), name);
  }

  invert() {
    this.inverted = !this.inverted;
    this.nv.setColormap(this.base.id, this.inverted ? "invgray" : "gray");
  }

  // One upload to the graphics card per frame, and only of what changed: greys or overlays.
  refresh(what) {
    this.stale ??= new Set();
    this.stale.add(what);
    this.pending ??= requestAnimationFrame(() => {
      const { stale } = this;
      this.pending = this.stale = undefined;
      if (stale.has("greys")) this.nv.refreshLayers(this.base, 0);
      if (stale.has("drawing") && this.drawing) this.nv.refreshDrawing(false);
      if (stale.has("overlays")) this.nv.overlays.forEach((overlay, at) => this.nv.refreshLayers(overlay, at + 1));
      this.nv.drawScene();
    });
  }

  setPlanes(planes) {
    this.planes = planes;
    this.layOut();
  }

  layOut() {
    if (!this.opened) return;
    const { clientWidth: width, clientHeight: height } = this.canvas.parentElement;
    const three = width > height * 1.15 ? WIDE : TALL;
    this.nv.setCustomLayout(this.planes === "all" ? three : [{ sliceType: PLANES[this.planes], position: [0, 0, 1, 1] }]);
  }

  async setBones(buffer, colours, opacity) {
    this.bones = await labelMap(buffer, "bones", colours, opacity);
    this.stack();
  }

  async setLesions(buffer, colours, opacity) {
    this.lesions = await labelMap(buffer, "lesions", colours, opacity);
    this.stack();
  }

  stack() {
    this.nv.overlays = [this.bones, this.lesions].filter(Boolean);
    this.nv.volumes = [this.base, ...this.nv.overlays];
    this.refresh("overlays");
  }

  recolour(colours) {
    if (!this.lesions) return;
    this.lesions.setColormapLabel(colours);
    this.refresh("overlays");
  }

  setOpacities(bones, lesions, outline) {
    const full = (share) => (outline && share > 0 ? 1 : share);  // an outline is of one colour
    if (this.bones) this.bones.opacity = full(bones);
    if (this.lesions) this.lesions.opacity = full(lesions);
    this.nv.overlayOutlineWidth = outline ? OUTLINE_PIXELS : 0;
    if (this.nv.overlays.length) this.refresh("overlays");
  }

  recolourBones(colours) {
    if (!this.bones) return;
    this.bones.setColormapLabel(colours);
    this.refresh("overlays");
  }

  setCross(shown) {
    this.marks.cross = shown;
    this.marks.draw();
  }

  get place() { return this.mmOf(this.nv.scene.crosshairPos); }

  goTo(mm) {
    if (!this.opened) return;
    this.nv.scene.crosshairPos = this.fractionOf(mm).map((value) => Math.min(Math.max(value, 0), 1));
    this.nv.drawScene();
  }

  holds(mm) { return this.fractionOf(mm).every((value) => value >= 0 && value <= 1); }

  scroll(steps) {
    const along = { coronal: [0, steps, 0], sagittal: [steps, 0, 0] }[this.planes] ?? [0, 0, steps];
    this.nv.moveCrosshairInVox(...along);
  }

  get view() { return Array.from(this.nv.scene.pan2Dxyzmm); }

  // The view of another panel, about a place that both show.
  viewLike(other, mm) {
    const view = other.view, here = this.laid(mm), there = other.laid(mm);
    return [0, 1, 2].map((axis) => view[axis] + (view[3] - 1) * (there[axis] - here[axis])).concat(view[3]);
  }

  setView(view) {
    this.nv.scene.pan2Dxyzmm = Float32Array.from(view);
    this.nv.drawScene();
  }

  // Zoom about the crosshair.
  zoomBy(factor) {
    const view = this.view, zoom = Math.min(Math.max(view[3] * factor, 0.5), LARGEST_ZOOM), place = this.laid(this.place);
    for (let axis = 0; axis < 3; axis += 1) view[axis] += (view[3] - zoom) * place[axis];
    view[3] = zoom;
    this.setView(view);
    this.events.viewChanged(this);
  }

  // The view with a place in the middle, so large that a lesion fills it.
  closeView(mm) {
    const middle = this.nv.frac2mm([0.5, 0.5, 0.5]), [width, height] = [1, 2].map((axis) => this.base.dimsRAS[axis] * this.base.pixDimsRAS[axis]);
    const zoom = Math.min(Math.max(Math.max(width, height) / LESION_FIELD_MM, 1), LARGEST_ZOOM);
    const place = this.laid(mm);
    return [0, 1, 2].map((axis) => middle[axis] - zoom * place[axis]).concat(zoom);
  }

  valueAt(mm, volume = this.base) {
    if (!volume) return null;
    const voxel = volume.mm2vox(mm);
    const inside = voxel.every((value, axis) => value >= 0 && value < volume.dimsRAS[axis + 1]);
    return inside ? volume.getValue(voxel[0], voxel[1], voxel[2]) : null;
  }

  get slice() {
    const voxel = this.nv.frac2vox(this.nv.scene.crosshairPos), axis = { sagittal: 0, coronal: 1 }[this.planes] ?? 2;
    return [voxel[axis] + 1, this.base.dimsRAS[axis + 1]];
  }

  // Draw the shape of a label anew; 0 begins with nothing.
  beginDrawing(map, label) {
    this.nv.createEmptyDrawing();
    this.drawing = new Drawing(this.base, this.nv.drawBitmap);
    if (label) this.drawing.fill(map.img, label);
    this.nv.drawLut = cmapper.makeDrawLut({
      R: [0, PEN_COLOUR[0]], G: [0, PEN_COLOUR[1]], B: [0, PEN_COLOUR[2]], A: [0, 255], I: [0, 1], labels: ["", "lesion"],
    });
    this.nv.drawOpacity = 0.45;
    this.nv.refreshDrawing(false);
    this.refresh("greys");  // takes the pen's colour and opacity along
  }

  undo() { this.drawing.undo(); this.refresh("drawing"); }
  redo() { this.drawing.redo(); this.refresh("drawing"); }

  endDrawing() {
    this.drawing = this.marks.pen = null;
    this.nv.closeDrawing();
    this.marks.draw();
  }
}
