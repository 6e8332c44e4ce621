// The panels of the page: one for each image that was read, for other series, and for the rendering.
import * as api from "./api.js";
import { arrange, enlarge, moveTo } from "./look.js";
import { reloadBones, reloadLesions, showOverlays, showRendering } from "./overlays.js";
import { RENDERING, all, get, page, panels, say, state } from "./page.js";
import { ImagePanel } from "./panel.js";
import { toPatient } from "./places.js";
import { drawsInSoftware } from "./rendering.js";
import { presetsFor } from "./windows.js";

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

export function focusOn(panel) {
  state.active = panel;
  for (const figure of all(".panel")) figure.classList.toggle("active", figure === panel.element);
}

const events = {
  moved: (source, mm) => { moveTo(toPatient(source.image, Array.from(mm)), source); },
  viewChanged: (source) => {
    state.closeTo = null;
    if (source.image.transform) return;  // a prior study lies elsewhere: it has a view of its own
    for (const panel of panels.values()) if (panel !== source && panel.opened && !panel.image.transform) panel.setView(panel.viewLike(source, page.place));
  },
  focused: focusOn,
  enlarged: (panel, plane) => enlarge(panel.image.key, plane),
  drawn: (panel) => page.editor.drawn(panel),
  windowed: (panel) => {
    const [low, high] = panel.range, digits = high - low < 10 ? 2 : 0;
    panel.element.querySelector(".window").textContent = `W ${(high - low).toFixed(digits)}  L ${((low + high) / 2).toFixed(digits)}`;
    panel.element.querySelector("select").value = panel.preset;
  },
};

export async function openPanels() {
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
  focusOn(panels.values().next().value);
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

// The sequence that shows the most lesions: its masks lie over other series.
function mostLesions() {
  const shown = ({ masks }) => state.study.lesions.filter((item) => masks in item.seen_on).length;
  const [first, ...others] = state.study.images.filter((image) => image.masks);
  return others.reduce((best, image) => (shown(image) > shown(best) ? image : best), first).masks;
}

// Another series of the study beside those that were read, with the same bones and lesions over it.
export async function openSeries(key) {
  const series = state.study.series.find((item) => item.key === key);
  if (!series || panels.has(key)) return;
  const image = { ...series, masks: mostLesions(), editable: false };
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
  moveTo(page.place);
}
