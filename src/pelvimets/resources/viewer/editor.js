// The shape of a lesion or of a bone being drawn: which, with what pen, and what becomes of it.
import * as api from "./api.js";

const get = (id) => document.getElementById(id);
const tools = () => [...document.querySelectorAll("[data-tool]")];

// page: { study(), signed(), panels, change(step, what), show(panel), shown() }
export class Editor {
  constructor(page) {
    Object.assign(this, { page, target: null, tool: "brush", erase: false });
    for (const button of tools()) button.addEventListener("click", () => this.use(button.dataset.tool));
    get("erase").addEventListener("click", () => this.toggleErase());
    get("threshold").addEventListener("click", () => this.toggleThreshold());
    get("pen-slider").addEventListener("input", () => this.usePen());
    for (const id of ["threshold-low", "threshold-high"]) get(id).addEventListener("change", () => this.usePen());
    get("undo").addEventListener("click", () => this.undo());
    get("redo").addEventListener("click", () => this.redo());
    get("draw-done").addEventListener("click", () => this.finish());
    get("draw-cancel").addEventListener("click", () => this.close());
  }

  get drawing() { return this.target !== null; }

  // number: null for a lesion that is not in the list
  beginLesion(number, sequence, label) {
    const title = number === null ? "New lesion" : `Lesion ${number}`;
    const save = (voxels) => (number === null ? api.addLesion(sequence, voxels) : api.putShape(number, sequence, voxels));
    this.begin({ kind: "lesion", number, sequence, title, save }, (panel) => panel.beginDrawing(panel.lesions, label));
  }

  beginBone(bone, sequence) {
    const save = (voxels) => api.putBone(bone.value, sequence, voxels);
    const title = bone.title[0].toUpperCase() + bone.title.slice(1);
    this.begin({ kind: "bone", bone: bone.value, sequence, title, save }, (panel) => panel.beginDrawing(panel.bones, bone.value));
  }

  begin(target, start) {
    if (this.page.signed() || this.target) return;
    const panel = this.page.panels.get(target.sequence);
    this.target = { ...target, panel };
    this.page.show(panel);
    start(panel);
    panel.element.classList.add("drawing");
    get("editor").hidden = false;
    get("editor-title").textContent = `${target.title} on ${panel.image.title}`;
    this.erase = false;
    this.range = null;
    this.use("brush");
    this.page.shown();
  }

  use(tool) {
    if (!this.target) return;
    this.tool = tool;
    this.usePen();
  }

  usePen() {
    if (!this.target) return;
    const { panel } = this.target, diameter = Number(get("pen-slider").value);
    get("pen-size").value = `${diameter} mm`;
    for (const button of tools()) button.setAttribute("aria-pressed", String(button.dataset.tool === this.tool));
    get("erase").setAttribute("aria-pressed", String(this.erase));
    get("threshold").setAttribute("aria-pressed", String(this.range !== null));
    get("threshold-range").hidden = this.range === null;
    if (this.range) this.range = ["low", "high"].map((end) => Number(get(`threshold-${end}`).value));
    Object.assign(panel.drawing.pen, { tool: this.tool, erase: this.erase, diameter, range: this.range });
    this.drawn(panel);
  }

  toggleErase() {
    this.erase = !this.erase;
    this.usePen();
  }

  // Only voxels as bright as the place under the crosshair are painted: brighter ones too on
  // diffusion images, darker ones too on T1.
  toggleThreshold() {
    if (!this.target) return;
    const { panel, sequence } = this.target, here = panel.valueAt(panel.place) ?? 0, sample = panel.sample;
    const [darkest, brightest] = [sample[0], sample[sample.length - 1]];
    const [low, high] = sequence === "dwi" ? [0.7 * here, brightest] : [darkest, 1.3 * here];
    get("threshold-low").value = low.toFixed(0);
    get("threshold-high").value = high.toFixed(0);
    this.range = this.range ? null : [low, high];
    this.usePen();
  }

  resize(by) {
    const slider = get("pen-slider");
    slider.value = Number(slider.value) + by;
    this.usePen();
  }

  undo() { this.target?.panel.undo(); this.drawn(this.target?.panel); }
  redo() { this.target?.panel.redo(); this.drawn(this.target?.panel); }

  drawn(panel) {
    if (!panel?.drawing) return;
    get("undo").disabled = panel.drawing.done.length === 0;
    get("redo").disabled = panel.drawing.undone.length === 0;
    const [x, y, z] = panel.drawing.mm;
    get("drawn-volume").textContent = `${(panel.drawing.count * x * y * z / 1000).toFixed(2)} cm\u00b3`;
  }

  async finish() {
    const { target } = this;
    if (!target || target.saving) return;
    const voxels = target.panel.drawing.voxels();
    target.saving = true;
    try {
      await this.page.change(() => target.save(voxels), target.kind === "bone" ? "bones" : "lesions");
    } catch {
      target.saving = false;  // the drawing stays, so that it can be mended
      return;
    }
    this.close();
  }

  close() {
    if (!this.target) return;
    const { panel } = this.target;
    this.target = null;
    panel.endDrawing();
    panel.element.classList.remove("drawing");
    get("editor").hidden = true;
    this.page.shown();
  }
}
