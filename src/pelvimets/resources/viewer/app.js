// The page: one state (the study as the server told it last), panels that show it, and what the
// reader does to it.
import * as api from "./api.js";
import { Editor } from "./editor.js";
import { COLOURS, ImagePanel, boneColours, lesionColours, priorColours } from "./panel.js";
import { Rendering, drawsInSoftware } from "./rendering.js";
import { Signature } from "./signature.js";
import { toPanel, toPatient } from "./places.js";
import { showReadings } from "./readings.js";
import { listenToKeys, showKeys } from "./keys.js";
import { editButtons, showList, showMeasures } from "./lesions.js";
import { presetsFor } from "./windows.js";

const get = (id) => document.getElementById(id);
const all = (selector) => [...document.querySelectorAll(selector)];
const RENDERING = "rendering";
const NOTE_PAUSE_MS = 700;
const TOAST_MS = 7000;

const state = {
  study: null, selected: null, active: null, alone: null, closeTo: null, measuring: false,
  shown: new Set(), planes: "all", overlays: { bones: true, lesions: true, outline: false, cross: true },
};
const panels = new Map();  // key -> ImagePanel
let rendering = null, editor = null, signature = null;

// ---- what the server says

const lesion = (number = state.selected) => state.study.lesions.find((item) => item.number === number);
const signed = () => state.study.review.signed !== null;

function say(error) {
  get("toast").textContent = error.message ?? String(error);
  get("toast").hidden = false;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => { get("toast").hidden = true; }, TOAST_MS);
}

// Every change goes through here, one after the other; a refused one leaves all as it was.
let queue = Promise.resolve();
// redrawn: "lesions" or "bones" where shapes change with it.
function change(step, redrawn = null) {
  get("saved").textContent = "Saving\u2026";
  const done = queue.then(async () => {
    const study = await settled(step);
    state.study = study;
    if (study.added) state.selected = study.added;
    if (redrawn) await reloadLesions();
    if (redrawn === "bones") await reloadBones();
    showStudy();
    get("saved").textContent = `Saved ${new Date(study.review.changed).toLocaleTimeString()}`;
  });
  queue = done.catch(() => {});
  return done.catch((error) => {
    get("saved").textContent = "Not saved";
    say(error);
    throw error;
  });
}
// A change that was made on an older state than the present one: the reader decides.
async function settled(step) {
  for (;;) {
    try {
      return await step();
    } catch (error) {
      if (!error.conflict) throw error;
      const mine = await askConflict();
      state.study = await api.readStudy();
      await reloadLesions();
      showStudy();
      if (!mine) throw new Error("Your last change was not saved. The page shows the review as it stands now.");
    }
  }
}

function askConflict() {
  const dialog = get("conflict-dialog");
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((decided) => {
    dialog.addEventListener("close", () => decided(dialog.returnValue === "mine"), { once: true });
  });
}
const attempt = (promise) => promise.catch(() => {});  // already said

// ---- showing the study

function showStudy() {
  const { study } = state, { review } = study;
  get("patient").textContent = study.patient_key;
  get("bundle").textContent = `read by ${study.bundle}`;
  get("notice").textContent = study.notice;
  get("suspicion").textContent = study.suspicion;
  get("suspicion").dataset.m1 = study.m1_suspected === null ? "withheld" : String(study.m1_suspected);
  get("suspicion").hidden = false;
  get("report").hidden = !study.has_report;
  get("update").disabled = review.outputs_current;
  get("sign").textContent = signed() ? "Reopen" : "Sign off";
  get("new-lesion").disabled = signed();
  get("whose").textContent = study.role === "reader" ? `review of ${study.reader_name}` : study.role === "settle" ? "settled from the readers\u2019 reviews" : "";
  showBoneEdits();
  const open = study.lesions.filter((item) => item.verdict === "pending").length;
  get("progress").textContent = signed()
    ? `signed by ${review.reader}`
    : `${study.lesions.length - open} of ${study.lesions.length} judged`;
  showList(get("lesions"), study.lesions, state.selected, (number) => select(number));
  showDetail();
  recolour();
}

function showDetail() {
  const shown = lesion();
  get("detail").hidden = !shown;
  if (!shown) return;
  get("detail-title").textContent = `Lesion ${shown.number}: ${shown.title}`;
  showMeasures(get("measure-head"), get("measure-body"), shown);
  for (const button of all(".verdicts button")) {
    button.setAttribute("aria-pressed", String(button.dataset.verdict === shown.verdict));
    button.disabled = signed() || editor.drawing;
  }
  showReadings(get("readings"), shown, state.study, signed() || editor.drawing, (reader) => attempt(change(() => api.adopt(shown.number, reader), "lesions")));
  const editable = state.study.images.filter((image) => image.editable).map((image) => image.key);
  const buttons = editButtons(shown, editable, {
    edit: (sequence) => editLesion(shown.number, sequence),
    restore: () => attempt(change(() => api.restoreShape(shown.number), "lesions")),
    remove: () => attempt(change(() => api.removeLesion(shown.number), "lesions").then(() => step(1))),
  });
  for (const button of buttons) button.disabled = signed() || editor.drawing;
  get("edits").replaceChildren(...buttons);
  const note = get("note");
  if (document.activeElement !== note || note.dataset.number !== String(shown.number)) {
    note.value = shown.note;
    note.dataset.number = shown.number;
  }
  note.readOnly = signed();
}

function showFlags() {
  const { flags } = state.study;
  get("flags").hidden = flags.length === 0;
  get("flags").replaceChildren(...flags.map((flag) => {
    const line = document.createElement("p");
    line.dataset.level = flag.level;
    const where = flag.sequence ? `${state.study.images.find((image) => image.key === flag.sequence)?.title ?? flag.sequence}: ` : "";
    line.textContent = `${flag.level === "review" ? "Review: " : ""}${where}${flag.message}`;
    return line;
  }));
}

// ---- panels

function panelElement(key, title) {
  const figure = document.createElement("figure");
  figure.className = "panel";
  figure.dataset.key = key;
  const head = document.createElement("header"), heading = document.createElement("h2"), box = document.createElement("div");
  heading.textContent = title;
  head.append(heading);
  box.className = "canvas";
  const canvas = document.createElement("canvas");
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `${title}: image with overlays; see the keyboard help`);
  box.append(canvas);
  figure.append(head, box);
  get("panels").append(figure);
  return figure;
}

function imageElement(image) {
  const figure = panelElement(image.key, image.title), head = figure.querySelector("header");
  const large = document.createElement("button");
  large.type = "button";
  large.className = "large";
  large.textContent = "\u2922";
  large.title = "This panel alone, and back (Space; a double click: that plane alone)";
  large.setAttribute("aria-label", `${image.title} alone, and back`);
  large.addEventListener("click", () => enlarge(image.key));
  const select = document.createElement("select"), window_ = document.createElement("span"), slice = document.createElement("span");
  select.setAttribute("aria-label", `Window of ${image.title}`);
  select.append(new Option("By hand", ""), ...Object.entries(presetsFor(image.key)).map(([name, preset]) => new Option(preset.title, name)));
  select.firstChild.hidden = true;
  select.addEventListener("change", () => panels.get(image.key).usePreset(select.value));
  window_.className = "window";
  slice.className = "slice";
  head.append(select, window_, slice, large);
  return figure;
}

const events = {
  moved: (source, mm) => { moveTo(toPatient(source.image, Array.from(mm)), source); },
  viewChanged: (source) => {
    state.closeTo = null;
    if (source.image.transform) return;  // a prior study lies elsewhere: it has a view of its own
    for (const panel of panels.values()) if (panel !== source && panel.opened && !panel.image.transform) panel.setView(source.view);
  },
  focused: (panel) => {
    state.active = panel;
    for (const figure of all(".panel")) figure.classList.toggle("active", figure === panel.element);
  },
  enlarged: (panel, plane) => enlarge(panel.image.key, plane),
  drawn: (panel) => editor.drawn(panel),
  windowed: (panel) => {
    const [low, high] = panel.range, digits = high - low < 10 ? 2 : 0;
    panel.element.querySelector(".window").textContent = `W ${(high - low).toFixed(digits)}  L ${((low + high) / 2).toFixed(digits)}`;
    panel.element.querySelector("select").value = panel.preset;
  },
};

// The same place of the patient in every panel; the panel it came from is there already.
let place = null, moving = null;
function moveTo(mm, source = null) {
  place = Array.from(mm).slice(0, 3);
  moving ??= requestAnimationFrame(() => {
    moving = null;
    for (const panel of panels.values()) {
      if (!panel.opened) continue;
      const here = toPanel(panel.image, place);
      if (panel !== source) panel.goTo(here);
      panel.element.querySelector(".slice").textContent = panel.holds(here) ? `slice ${panel.slice.join(" / ")}` : "outside this image";
    }
    if (rendering !== source) rendering?.goTo(place);
    showPlace();
  });
}

function showPlace() {
  const [x, y, z] = place, side = (value, plus, minus) => `${value < 0 ? minus : plus} ${Math.abs(value).toFixed(0)}`;
  const values = [...panels.values()].filter((panel) => panel.opened)
    .map((panel) => [panel.image.title, panel.valueAt(toPanel(panel.image, place))]).filter(([, value]) => value !== null)
    .map(([title, value]) => `${title} ${value.toFixed(0)}`);
  get("where").textContent = `${side(x, "R", "L")}  ${side(y, "A", "P")}  ${side(z, "S", "I")} mm   ${values.join("   ")}`;
  const bone = [...panels.values()].filter((panel) => !panel.image.transform).map((panel) => panel.valueAt(place, panel.bones)).find((value) => value > 0);
  get("bone-here").textContent = state.study.bones.find((item) => item.value === bone)?.title ?? "";
}

async function openPanels() {
  const { images, bones } = state.study;
  const elements = new Map(images.map((image) => [image.key, imageElement(image)]));
  elements.set(RENDERING, panelElement(RENDERING, "Rendering"));
  state.shown = new Set(elements.keys());
  if (drawsInSoftware()) state.shown.delete(RENDERING);
  showToggles();
  arrange();
  const files = new Map(images.map((image) => [image.key, api.readImage(image.key)]));
  for (const image of images) {
    await openPanel(image, elements.get(image.key), files.get(image.key));
    if (!performance.getEntriesByName("first-image").length) requestAnimationFrame(() => performance.mark("first-image"));
  }
  events.focused(panels.values().next().value);
  await reloadBones();
  await reloadLesions();
  await showRendering();
}

async function openPanel(image, element, file) {
  const panel = new ImagePanel(image, element, events);
  panels.set(image.key, panel);
  await panel.open(await file);
  panel.setCross(state.overlays.cross);
}

const shownImages = () => [...panels.values()].map((panel) => panel.image);

function showToggles() {
  const images = panels.size ? shownImages() : state.study.images;
  panelToggles([...images.map((image) => [image.key, image.title]), [RENDERING, "Rendering"]]);
}

// Another series of the study beside those that were read, with the same bones and lesions over it.
async function openSeries(key) {
  const series = state.study.series.find((item) => item.key === key);
  if (!series || panels.has(key)) return;
  const image = { ...series, masks: state.study.images.find((item) => item.masks).masks, editable: false };
  get("saved").textContent = `Reading ${image.title}\u2026`;
  const file = api.readImage(key);
  file.catch(() => {});
  const element = imageElement(image);
  state.shown.add(key);
  state.alone = null;
  arrange();
  try {
    await openPanel(image, element, file);
  } catch (error) {
    panels.delete(key);
    state.shown.delete(key);
    element.remove();
    arrange();
    throw error;
  } finally {
    get("saved").textContent = "";
  }
  panels.get(key).setPlanes(state.planes);
  showToggles();
  arrange();
  await reloadBones(key);
  await reloadLesions(key);
  showOverlays();
  moveTo(place);
}

const withMasks = (only) => [...panels.values()].filter((panel) => panel.image.masks && (!only || panel.image.key === only));

async function reloadBones(only = null) {
  const table = boneColours(state.study.bones), files = new Map();
  for (const panel of withMasks(only)) {
    const { masks } = panel.image;
    if (!files.has(masks)) files.set(masks, api.readImage(`${masks}_bones`));
    await panel.setBones(await files.get(masks), table, overlayShare("bones"));
  }
}

const coloursOf = (image, hidden = null) => (
  image.transform ? priorColours(image.labels) : lesionColours(state.study.lesions, image.masks, hidden));

async function reloadLesions(only = null) {
  const files = new Map();
  for (const panel of withMasks(only)) {
    const { masks } = panel.image;
    if (!files.has(masks)) files.set(masks, api.readImage(`${masks}_lesions`));
    await panel.setLesions(await files.get(masks), coloursOf(panel.image), overlayShare("lesions"));
  }
  if (rendering?.opened && files.has(rendering.masks)) await rendering.setLesions(await files.get(rendering.masks), lesionColours(state.study.lesions, rendering.masks));
}

// Opened when it is first shown, for it costs more than all slices.
async function showRendering() {
  const masks = state.study.images.map((image) => image.masks).find(Boolean);
  if (rendering || !masks || !visible().has(RENDERING)) return;
  rendering = new Rendering(document.querySelector(`[data-key=${RENDERING}]`), events);
  rendering.masks = masks;
  const files = await Promise.all([api.readImage(`${masks}_bones`), api.readImage(`${masks}_lesions`)]);
  await rendering.open(files[0], boneColours(state.study.bones), files[1], lesionColours(state.study.lesions, masks));
  if (place) rendering.goTo(place);
  document.body.dataset.rendering = "true";
}

function recolour() {
  const target = editor?.target;
  for (const panel of panels.values()) {
    const here = target?.panel === panel ? target : null;
    panel.recolour(coloursOf(panel.image, here?.kind === "lesion" ? here.number : null));
    panel.recolourBones(boneColours(state.study.bones, here?.kind === "bone" ? here.bone : null));
  }
  if (rendering?.opened) rendering.recolour(lesionColours(state.study.lesions, rendering.masks));
}

function panelToggles(items) {
  get("panel-toggles").replaceChildren(...items.map(([key, title]) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = title;
    button.dataset.panel = key;
    button.addEventListener("click", () => {
      if (!state.shown.delete(key)) state.shown.add(key);
      if (state.shown.size === 0) state.shown.add(key);
      state.alone = null;
      arrange();
      showRendering().catch(say);
    });
    return button;
  }));
}

const visible = () => (state.alone ? new Set([state.alone]) : state.shown);

function arrange() {
  const shown = visible();
  for (const figure of all(".panel")) figure.hidden = !shown.has(figure.dataset.key);
  get("panels").dataset.count = shown.size;
  for (const button of all("[data-panel]")) button.setAttribute("aria-pressed", String(shown.has(button.dataset.panel)));
}

// One panel alone, with one plane of it if one was asked for; the same again brings all back.
function enlarge(key, plane = null) {
  const back = state.alone === key && (plane === null || state.planes === plane);
  state.alone = back ? null : key;
  arrange();
  if (back) setPlanes(state.before ?? "all");
  else if (plane) {
    if (state.planes !== plane) state.before = state.planes;
    setPlanes(plane);
  }
}

// Close to the selected lesion in every panel, and back.
function zoomToLesion() {
  const shown = lesion();
  if (!shown) return;
  const again = state.closeTo === shown.number, mm = centre(shown);
  for (const panel of panels.values()) panel.setView(again ? [0, 0, 0, 1] : panel.closeView(toPanel(panel.image, mm)));
  state.closeTo = again ? null : shown.number;
  get("zoom-lesion").setAttribute("aria-pressed", String(!again));
  moveTo(mm);
}

function toggleRuler() {
  state.measuring = !state.measuring;
  get("ruler").setAttribute("aria-pressed", String(state.measuring));
  for (const panel of panels.values()) panel.measuring = state.measuring;
}

function clearRulers() {
  for (const panel of panels.values()) panel.clearRulers();
}

function setPlanes(planes) {
  state.planes = planes;
  for (const button of all("[data-planes]")) button.setAttribute("aria-pressed", String(button.dataset.planes === planes));
  for (const panel of panels.values()) panel.setPlanes(planes);
}

// ---- overlays

const overlayShare = (kind) => (state.overlays[kind] ? Number(get(`${kind}-opacity`).value) / 100 : 0);

function showOverlays() {
  for (const kind of ["bones", "lesions", "outline", "cross"]) get(`${kind}-toggle`).setAttribute("aria-pressed", String(state.overlays[kind]));
  for (const panel of panels.values()) panel.setOpacities(overlayShare("bones"), overlayShare("lesions"), state.overlays.outline);
}

function toggle(...kinds) {
  const on = !kinds.some((kind) => state.overlays[kind]);
  for (const kind of kinds) state.overlays[kind] = on;
  showOverlays();
  if (kinds.includes("cross")) for (const panel of panels.values()) panel.setCross(on);
}

function resetView() {
  state.closeTo = null;
  get("zoom-lesion").setAttribute("aria-pressed", "false");
  clearRulers();
  for (const panel of panels.values()) {
    panel.setView([0, 0, 0, 1]);
    panel.usePreset("auto");
    if (panel.inverted) panel.invert();
  }
}

function nextPreset() {
  const names = Object.keys(presetsFor(state.active.image.key));
  state.active.usePreset(names[(names.indexOf(state.active.preset) + 1) % names.length]);
}

// ---- lesions

const centre = (item) => {
  const [x, y, z] = (item.seen_on.dwi ?? item.seen_on.t1).centre_lps_mm;
  return [-x, -y, z];  // the files' RAS, the findings' LPS
};

function select(number) {
  if (editor.drawing) return;
  saveNote();
  state.selected = number;
  showStudy();
  if (!lesion()) return;
  if (state.closeTo === null || state.closeTo === number) moveTo(centre(lesion()));
  else zoomToLesion();
}

function step(by) {
  const { lesions } = state.study;
  if (!lesions.length) return;
  const at = lesions.findIndex((item) => item.number === state.selected);
  select(lesions[at < 0 ? 0 : (at + by + lesions.length) % lesions.length].number);
}

// After a verdict the next open lesion comes up by itself.
async function judge(verdict) {
  if (!lesion() || editor.drawing) return;
  const number = state.selected;
  await attempt(change(() => api.changeLesion(number, { verdict })));
  const open = state.study.lesions.find((item) => item.verdict === "pending");
  if (verdict !== "pending" && open && lesion(number)?.verdict === verdict) select(open.number);
}

let noteTimer = null;
function saveNote() {
  clearTimeout(noteTimer);
  const note = get("note"), number = Number(note.dataset.number), noted = state.study.lesions.find((item) => item.number === number);
  if (!noted || signed() || noted.note === note.value) return;
  const text = note.value;
  noted.note = text;
  attempt(change(() => api.changeLesion(number, { note: text })));
}

// ---- drawing

function editLesion(number, sequence) {
  if (signed() || editor.drawing) return;
  editor.beginLesion(number, sequence, number === null ? 0 : lesion(number).labels[sequence] ?? 0);
}

function markNew() {
  const images = state.study.images.filter((image) => image.editable);
  const active = images.find((image) => image.key === state.active?.image?.key);
  editLesion(null, (active ?? images[0]).key);
}

function editSelected() {
  const shown = lesion(), active = state.active?.image;
  if (!shown) return;
  editLesion(shown.number, active?.editable && active.key in shown.seen_on ? active.key : Object.keys(shown.seen_on)[0]);
}

// What the editor needs of the page.
const desk = {
  panels, study: () => state.study, signed, change, api,
  show: (panel) => {
    state.overlays.lesions = state.overlays.bones = true;
    showOverlays();
    if (state.alone) state.alone = panel.image.key;
    state.shown.add(panel.image.key);
    arrange();
    if (state.measuring) toggleRuler();
    events.focused(panel);
  },
  shown: () => { if (state.study) showStudy(); },
};

// ---- bones

function fillBoneChoice() {
  get("bone").replaceChildren(...state.study.bones.map((bone) => new Option(bone.title, bone.value)));
  get("bone-on").replaceChildren(...state.study.images.filter((image) => image.editable).map((image) => new Option(image.title, image.key)));
}

function showBoneEdits() {
  const changed = state.study.review.bones[get("bone-on").value] ?? [];
  get("edit-bone").disabled = signed() || editor.drawing;
  get("first-bones").disabled = signed() || editor.drawing || changed.length === 0;
  get("bones-changed").textContent = changed.length ? `drawn anew: ${changed.join(", ")}` : "";
}

const chosenBone = () => state.study.bones.find((bone) => String(bone.value) === get("bone").value);

// ---- wiring

function askSignature() {
  saveNote();
  signature.ask();
}

function showHelp() {
  if (!get("help-dialog").open) get("help-dialog").showModal();
}

function showLegend() {
  const entry = (colour, title) => {
    const item = document.createElement("li"), svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const square = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    for (const [name, value] of [["width", 11], ["height", 11], ["rx", 2], ["fill", `rgb(${colour.join(",")})`]]) square.setAttribute(name, value);
    svg.append(square);
    item.append(svg, title);
    return item;
  };
  const lesions = Object.entries({ pending: "lesion, open", accepted: "lesion, accepted", rejected: "lesion, rejected" });
  get("legend").replaceChildren(
    ...state.study.bones.map((bone) => entry(bone.colour, bone.title)), ...lesions.map(([verdict, title]) => entry(COLOURS[verdict], title)),
    ...(state.study.images.some((image) => image.transform) ? [entry(COLOURS.prior, "lesion of the prior study")] : []),
  );
}

function wire() {
  const on = (id, action, event = "click") => get(id).addEventListener(event, action);
  on("accept", () => judge("accepted"));
  on("reject", () => judge("rejected"));
  on("undecide", () => judge("pending"));
  on("new-lesion", markNew);
  on("note", () => { clearTimeout(noteTimer); noteTimer = setTimeout(saveNote, NOTE_PAUSE_MS); }, "input");
  on("note", saveNote, "blur");
  for (const kind of ["bones", "lesions", "outline", "cross"]) on(`${kind}-toggle`, () => toggle(kind));
  for (const kind of ["bones", "lesions"]) on(`${kind}-opacity`, () => { state.overlays[kind] = true; showOverlays(); }, "input");
  for (const button of all("[data-planes]")) button.addEventListener("click", () => setPlanes(button.dataset.planes));
  editor = new Editor(desk);
  signature = new Signature(desk);
  on("zoom-lesion", zoomToLesion);
  on("ruler", toggleRuler);
  on("clear-rulers", clearRulers);
  on("series", () => {
    const { value } = get("series");
    get("series").value = "";
    openSeries(value).catch(say);
  }, "change");
  on("edit-bone", () => editor.beginBone(chosenBone(), get("bone-on").value));
  on("bone-on", showBoneEdits, "change");
  on("first-bones", () => attempt(change(() => api.restoreBones(get("bone-on").value), "bones")));
  on("reset-view", resetView);
  on("update", () => attempt(change(() => api.reviewStep("update"))));
  on("sign", () => (signed() ? attempt(change(() => api.reviewStep("reopen"))) : askSignature()));
  on("conflict-mine", () => get("conflict-dialog").close("mine"));
  on("conflict-theirs", () => get("conflict-dialog").close());
  on("help", showHelp);
  on("help-close", () => get("help-dialog").close());
  listenToKeys({
    next: () => step(1), previous: () => step(-1), accept: () => judge("accepted"), reject: () => judge("rejected"),
    undecide: () => judge("pending"), edit: editSelected, mark: markNew, note: () => get("note").focus(),
    up: () => state.active?.scroll(1), down: () => state.active?.scroll(-1), pageUp: () => state.active?.scroll(5), pageDown: () => state.active?.scroll(-5),
    axial: () => setPlanes("axial"), coronal: () => setPlanes("coronal"), sagittal: () => setPlanes("sagittal"), all: () => setPlanes("all"),
    maximise: () => { if (state.active) enlarge(state.active.image.key); },
    zoomLesion: zoomToLesion, ruler: toggleRuler,
    larger: () => state.active?.zoomBy(1.2), smaller: () => state.active?.zoomBy(1 / 1.2), reset: resetView,
    preset: nextPreset, invert: () => state.active?.invert(),
    overlays: () => toggle("bones", "lesions"), bones: () => toggle("bones"), lesions: () => toggle("lesions"),
    outline: () => toggle("outline"), cross: () => toggle("cross"),
    brush: () => editor.use("brush"), ball: () => editor.use("ball"), fill: () => editor.use("fill"),
    erase: () => editor.toggleErase(), threshold: () => editor.toggleThreshold(),
    thinner: () => editor.resize(-2), thicker: () => editor.resize(2), undo: () => editor.undo(), redo: () => editor.redo(),
    done: () => editor.finish(), cancel: () => { if (state.measuring) toggleRuler(); else editor.close(); }, help: showHelp,
  });
  showKeys(get("help-columns"));
  addEventListener("beforeunload", (event) => { if (editor.drawing) event.preventDefault(); });
}

async function start() {
  wire();
  state.study = await api.readStudy();
  state.selected = state.study.lesions[0]?.number ?? null;
  fillBoneChoice();
  get("series-choice").hidden = state.study.series.length === 0;
  get("series").append(...state.study.series.map((item) => new Option(item.title, item.key)));
  get("worklist").hidden = !state.study.in_worklist;
  showStudy();
  showFlags();
  showLegend();
  document.title = `${state.study.patient_key} \u2013 pelvimets viewer`;
  await openPanels();
  setPlanes("all");
  if (lesion()) moveTo(centre(lesion()));
  else moveTo(panels.values().next().value.place);
  document.body.dataset.ready = "true";
}

// For tests and for the curious: where everything stands.
window.pelvimets = { state, panels, get editor() { return editor; }, get place() { return place; }, get rendering() { return rendering; }, settled: () => queue };
start().catch(say);
