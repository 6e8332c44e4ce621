// One image of the study in one canvas: three planes or one, with bones and lesions over it.
import { Niivue, NVImage, SLICE_TYPE, DRAG_MODE, SHOW_RENDER, cmapper } from "./niivue.js";
import { dragged, presetsFor, rangeOf, sampled } from "./windows.js";

const { AXIAL, CORONAL, SAGITTAL } = SLICE_TYPE;
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
export const COLOURS = { pending: [240, 169, 46], accepted: [238, 91, 60], rejected: [125, 135, 147] };
const PEN_COLOUR = [80, 220, 255];
const UNDO_STEPS = 40;
const CROSS_MM = 0.8;

export function volumeFrom(buffer, name) {
  return NVImage.loadFromUrl({ url: buffer, name: `${name}.nii` });
}

async function labelMap(buffer, name, colours, opacity) {
  const volume = await volumeFrom(buffer, name);
  volume.setColormapLabel(colours);
  volume.opacity = opacity;
  return volume;
}

export function boneColours(bones) {
  const at = (channel) => [0, ...bones.map((bone) => bone.colour[channel])];
  return {
    R: at(0), G: at(1), B: at(2), A: [0, ...bones.map(() => 255)],
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

export class ImagePanel {
  // events: moved(panel, mm), viewChanged(panel), focused(panel), windowed(panel)
  constructor(image, element, events) {
    Object.assign(this, { image, element, events, preset: "auto", inverted: false, planes: "all" });
    this.canvas = element.querySelector("canvas");
    this.nv = new Niivue({
      backColor: [0, 0, 0, 1], crosshairColor: [0.42, 0.74, 0.94, 0.75], crosshairWidth: CROSS_MM, crosshairGap: 12, crosshairWidthUnit: "mm",
      isRadiologicalConvention: true, sagittalNoseLeft: true, multiplanarShowRender: SHOW_RENDER.NEVER,
      dragAndDropEnabled: false, loadingText: "", logLevel: "error", isAntiAlias: false,
      fontMinPx: 11, fontSizeScaling: 0.1, fontColor: [0.62, 0.68, 0.75, 1],
      clipPlaneHotKey: "", cycleClipPlaneHotKey: "", viewModeHotKey: "",
      maxDrawUndoBitmaps: UNDO_STEPS, isRuler: false,
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
  }

  async open(buffer) {
    this.listen();
    await this.nv.attachToCanvas(this.canvas, false);
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

  // Capture phase: a reader's right button, wheel and focus come before the canvas's own.
  listen() {
    const box = this.canvas.parentElement;
    box.addEventListener("pointerdown", (event) => {
      this.events.focused(this);
      if (event.button === 2) this.dragWindow(event);
    }, true);
    box.addEventListener("mousedown", (event) => { if (event.button === 2) event.stopPropagation(); }, true);
    box.addEventListener("contextmenu", (event) => event.preventDefault(), true);
    box.addEventListener("pointermove", (event) => { if (event.buttons & 5) this.events.viewChanged(this); });
    box.addEventListener("pointerenter", () => this.events.focused(this));
    box.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      event.stopPropagation();
      this.zoomBy(event.deltaY < 0 ? 1.12 : 1 / 1.12);
    }, { capture: true, passive: false });
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
    if (this.bones) this.bones.opacity = bones;
    if (this.lesions) this.lesions.opacity = lesions;
    this.nv.opts.atlasOutline = outline ? 1 : 0;
    if (this.nv.overlays.length) this.refresh("overlays");
  }

  setCross(shown) { this.nv.setCrosshairWidth(shown ? CROSS_MM : 0); }

  get place() { return Array.from(this.nv.frac2mm(this.nv.scene.crosshairPos).slice(0, 3)); }

  goTo(mm) {
    if (!this.opened) return;
    const fraction = this.nv.mm2frac(mm);
    this.nv.scene.crosshairPos = fraction.map((value) => Math.min(Math.max(value, 0), 1));
    this.nv.drawScene();
  }

  holds(mm) { return this.nv.mm2frac(mm).every((value) => value >= 0 && value <= 1); }

  scroll(steps) {
    const along = { coronal: [0, steps, 0], sagittal: [steps, 0, 0] }[this.planes] ?? [0, 0, steps];
    this.nv.moveCrosshairInVox(...along);
  }

  get view() { return Array.from(this.nv.scene.pan2Dxyzmm); }

  setView(view) {
    this.nv.scene.pan2Dxyzmm = Float32Array.from(view);
    this.nv.drawScene();
  }

  // Zoom about the crosshair.
  zoomBy(factor) {
    const view = this.view, zoom = Math.min(Math.max(view[3] * factor, 0.5), 12), place = this.place;
    for (let axis = 0; axis < 3; axis += 1) view[axis] += (view[3] - zoom) * place[axis];
    view[3] = zoom;
    this.setView(view);
    this.events.viewChanged(this);
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

  // The drawing lies in patient-ordered voxels (right to left to ... RAS); files do not.
  forEachVoxel(visit) {
    const { dimsRAS, img2RASstart, img2RASstep } = this.base;
    const first = img2RASstart[0] + img2RASstart[1] + img2RASstart[2];
    let at = 0;
    for (let z = 0; z < dimsRAS[3]; z += 1) {
      for (let y = 0; y < dimsRAS[2]; y += 1) {
        let stored = first + z * img2RASstep[2] + y * img2RASstep[1];
        for (let x = 0; x < dimsRAS[1]; x += 1, at += 1, stored += img2RASstep[0]) visit(at, stored);
      }
    }
  }

  beginDrawing(label) {
    this.nv.setDrawingEnabled(true);
    const bitmap = this.nv.drawBitmap, labels = this.lesions.img;
    bitmap.fill(0);
    if (label) this.forEachVoxel((at, stored) => { if (labels[stored] === label) bitmap[at] = 1; });
    this.nv.drawClearAllUndoBitmaps();
    this.nv.drawAddUndoBitmap();
    this.nv.drawLut = cmapper.makeDrawLut({
      R: [0, PEN_COLOUR[0]], G: [0, PEN_COLOUR[1]], B: [0, PEN_COLOUR[2]], A: [0, 255], I: [0, 1], labels: ["", "lesion"],
    });
    this.nv.drawOpacity = 0.45;
    this.nv.refreshDrawing(false);
    this.refresh("greys");  // takes the pen's colour and opacity along
  }

  setPen(tool, size) {
    this.nv.opts.penSize = size;
    this.nv.setPenValue(tool === "erase" ? 0 : 1, tool === "fill");
  }

  undo() { this.nv.drawUndo(); }

  // One byte per voxel in the file's order.
  drawing() {
    const bitmap = this.nv.drawBitmap, voxels = new Uint8Array(bitmap.length);
    this.forEachVoxel((at, stored) => { voxels[stored] = bitmap[at] ? 1 : 0; });
    return voxels;
  }

  endDrawing() {
    this.nv.setDrawingEnabled(false);
    this.nv.closeDrawing();
  }
}

// Whether WebGL is drawn by the processor: slices are quick enough then, renderings are not.
export function drawsInSoftware() {
  const gl = document.createElement("canvas").getContext("webgl2");
  const info = gl?.getExtension("WEBGL_debug_renderer_info");
  const renderer = info ? gl.getParameter(info.UNMASKED_RENDERER_WEBGL) : "";
  gl?.getExtension("WEBGL_lose_context")?.loseContext();
  return /swiftshader|llvmpipe|software|basic render/i.test(renderer);
}

// Bones and lesions as surfaces, turned with the mouse.
export class Rendering {
  constructor(element, events) {
    Object.assign(this, { element, events });
    this.canvas = element.querySelector("canvas");
    this.nv = new Niivue({
      backColor: [0, 0, 0, 1], show3Dcrosshair: true, crosshairColor: [0.42, 0.74, 0.94, 1], crosshairWidth: 1,
      dragAndDropEnabled: false, loadingText: "", logLevel: "error", isAntiAlias: false, sliceType: SLICE_TYPE.RENDER,
      isOrientCube: true, clipPlaneHotKey: "", cycleClipPlaneHotKey: "", viewModeHotKey: "",
    });
    this.nv.meshShaders = [];
    this.nv.keyDownListener = () => {};
    this.nv.keyUpListener = () => {};
    this.nv.onLocationChange = (place) => this.events.moved(this, place.mm);
  }

  async open(bones, boneTable, lesions, lesionTable) {
    await this.nv.attachToCanvas(this.canvas, false);
    this.nv.scene.renderAzimuth = 160;
    this.nv.scene.renderElevation = 8;
    this.nv.scene.volScaleMultiplier = 1.4;
    const base = await labelMap(bones, "bones", boneTable, 1);
    this.lesions = await labelMap(lesions, "lesions", lesionTable, 1);
    this.nv.volumes = [base, this.lesions];
    this.nv.back = base;
    this.nv.overlays = [this.lesions];
    this.nv.updateGLVolume();
    this.opened = true;
  }

  async setLesions(buffer, colours) {
    this.lesions = await labelMap(buffer, "lesions", colours, 1);
    this.nv.overlays = [this.lesions];
    this.nv.volumes = [this.nv.volumes[0], this.lesions];
    this.drawLesions();
  }

  recolour(colours) {
    this.lesions.setColormapLabel(colours);
    this.drawLesions();
  }

  drawLesions() {
    this.nv.refreshLayers(this.lesions, 1);
    this.nv.drawScene();
  }

  // Drawn once the hand rests: a rendering costs more than a slice.
  goTo(mm) {
    if (!this.opened) return;
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => {
      this.nv.scene.crosshairPos = this.nv.mm2frac(mm);
      this.nv.drawScene();
    }, 120);
  }
}
