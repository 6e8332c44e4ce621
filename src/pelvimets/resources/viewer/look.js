// Where one looks and how: the place in all panels, planes, zoom, ruler, windows.
import { all, centre, get, lesion, page, panels, state } from "./page.js";
import { toPanel } from "./places.js";
import { presetsFor } from "./windows.js";

let moving = null;
// The same place of the patient in every panel; the panel it came from is there already.
export function moveTo(mm, source = null) {
  page.place = Array.from(mm).slice(0, 3);
  moving ??= requestAnimationFrame(() => {
    moving = null;
    for (const panel of panels.values()) {
      if (!panel.opened) continue;
      const here = toPanel(panel.image, page.place);
      if (panel !== source) panel.goTo(here);
      panel.element.querySelector(".slice").textContent = panel.holds(here) ? `slice ${panel.slice.join(" / ")}` : "outside this image";
    }
    if (page.rendering !== source) page.rendering?.goTo(page.place);
    showPlace();
  });
}

function showPlace() {
  const [x, y, z] = page.place, side = (value, plus, minus) => `${value < 0 ? minus : plus} ${Math.abs(value).toFixed(0)}`;
  const values = [...panels.values()].filter((panel) => panel.opened)
    .map((panel) => [panel.image.title, panel.valueAt(toPanel(panel.image, page.place))]).filter(([, value]) => value !== null)
    .map(([title, value]) => `${title} ${value.toFixed(0)}`);
  get("where").textContent = `${side(x, "R", "L")}  ${side(y, "A", "P")}  ${side(z, "S", "I")} mm   ${values.join("   ")}`;
  const bone = [...panels.values()].filter((panel) => !panel.image.transform).map((panel) => panel.valueAt(page.place, panel.bones)).find((value) => value > 0);
  get("bone-here").textContent = state.study.bones.find((item) => item.value === bone)?.title ?? "";
}

export const visible = () => (state.alone ? new Set([state.alone]) : state.shown);

export function arrange() {
  const shown = visible();
  for (const figure of all(".panel")) figure.hidden = !shown.has(figure.dataset.key);
  get("panels").dataset.count = shown.size;
  for (const button of all("[data-panel]")) button.setAttribute("aria-pressed", String(shown.has(button.dataset.panel)));
}

// One panel alone, with one plane of it if one was asked for; the same again brings all back.
export function enlarge(key, plane = null) {
  const back = state.alone === key && (plane === null || state.planes === plane);
  state.alone = back ? null : key;
  arrange();
  if (back) setPlanes(state.before ?? "all");
  else if (plane) {
    if (state.planes !== plane) state.before = state.planes;
    setPlanes(plane);
  }
}

export function setPlanes(planes) {
  state.planes = planes;
  for (const button of all("[data-planes]")) button.setAttribute("aria-pressed", String(button.dataset.planes === planes));
  for (const panel of panels.values()) panel.setPlanes(planes);
}

// Close to the selected lesion in every panel, and back.
export function zoomToLesion() {
  const shown = lesion();
  if (!shown) return;
  const again = state.closeTo === shown.number, mm = centre(shown);
  for (const panel of panels.values()) panel.setView(again ? [0, 0, 0, 1] : panel.closeView(toPanel(panel.image, mm)));
  state.closeTo = again ? null : shown.number;
  get("zoom-lesion").setAttribute("aria-pressed", String(!again));
  moveTo(mm);
}

export function toggleRuler() {
  state.measuring = !state.measuring;
  get("ruler").setAttribute("aria-pressed", String(state.measuring));
  for (const panel of panels.values()) panel.measuring = state.measuring;
}

export function clearRulers() {
  for (const panel of panels.values()) panel.clearRulers();
}

export function resetView() {
  state.closeTo = null;
  get("zoom-lesion").setAttribute("aria-pressed", "false");
  clearRulers();
  for (const panel of panels.values()) {
    panel.setView([0, 0, 0, 1]);
    panel.usePreset("auto");
    if (panel.inverted) panel.invert();
  }
}

export function nextPreset() {
  const names = Object.keys(presetsFor(state.active.image.key));
  state.active.usePreset(names[(names.indexOf(state.active.preset) + 1) % names.length]);
}
