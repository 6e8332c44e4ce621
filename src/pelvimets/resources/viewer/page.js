// What all parts of the page share: the study as the server told it last, the panels that show it,
// and how something is said.

export const get = (id) => document.getElementById(id);
export const all = (selector) => [...document.querySelectorAll(selector)];
export const RENDERING = "rendering";
const TOAST_MS = 7000;

export const state = {
  study: null, selected: null, active: null, alone: null, closeTo: null, measuring: false,
  shown: new Set(), planes: "all", overlays: { bones: true, lesions: true, outline: false, cross: true },
};
export const panels = new Map();  // key -> ImagePanel
export const page = { editor: null, rendering: null, place: null };  // made once, when they are there

export const lesion = (number = state.selected) => state.study.lesions.find((item) => item.number === number);
export const signed = () => state.study.review.signed !== null;
export const centre = (item) => {
  const [x, y, z] = (item.seen_on.dwi ?? item.seen_on.t1).centre_lps_mm;
  return [-x, -y, z];  // the files' RAS, the findings' LPS
};

export function say(error) {
  get("toast").textContent = error.message ?? String(error);
  get("toast").hidden = false;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => { get("toast").hidden = true; }, TOAST_MS);
}

export const attempt = (promise) => promise.catch(() => {});  // already said
