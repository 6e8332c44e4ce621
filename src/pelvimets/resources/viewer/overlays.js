// Bones and lesions over the images and as surfaces: their files, colours and how strongly they show.
import * as api from "./api.js";
import { moveTo, visible } from "./look.js";
import { RENDERING, get, page, panels, state } from "./page.js";
import { boneColours, lesionColours, priorColours } from "./panel.js";
import { Rendering } from "./rendering.js";

const overlayShare = (kind) => (state.overlays[kind] ? Number(get(`${kind}-opacity`).value) / 100 : 0);
const withMasks = (only) => [...panels.values()].filter((panel) => panel.image.masks && (!only || panel.image.key === only));
const coloursOf = (image, hidden = null) => (
  image.transform ? priorColours(image.labels) : lesionColours(state.study.lesions, image.masks, hidden));

export function showOverlays() {
  for (const kind of ["bones", "lesions", "outline", "cross"]) get(`${kind}-toggle`).setAttribute("aria-pressed", String(state.overlays[kind]));
  for (const panel of panels.values()) panel.setOpacities(overlayShare("bones"), overlayShare("lesions"), state.overlays.outline);
}

export function toggle(...kinds) {
  const on = !kinds.some((kind) => state.overlays[kind]);
  for (const kind of kinds) state.overlays[kind] = on;
  showOverlays();
  if (kinds.includes("cross")) for (const panel of panels.values()) panel.setCross(on);
}

export async function reloadBones(only = null) {
  const table = boneColours(state.study.bones), files = new Map();
  for (const panel of withMasks(only)) {
    const { masks } = panel.image;
    if (!files.has(masks)) files.set(masks, api.readImage(`${masks}_bones`));
    await panel.setBones(await files.get(masks), table, overlayShare("bones"));
  }
}

export async function reloadLesions(only = null) {
  const files = new Map();
  for (const panel of withMasks(only)) {
    const { masks } = panel.image;
    if (!files.has(masks)) files.set(masks, api.readImage(`${masks}_lesions`));
    await panel.setLesions(await files.get(masks), coloursOf(panel.image), overlayShare("lesions"));
  }
  if (page.rendering?.opened && files.has(page.rendering.masks)) await page.rendering.setLesions(await files.get(page.rendering.masks), lesionColours(state.study.lesions, page.rendering.masks));
}

// Opened when it is first shown, for it costs more than all slices.
export async function showRendering() {
  const masks = state.study.images.map((image) => image.masks).find(Boolean);
  if (page.rendering || !masks || !visible().has(RENDERING)) return;
  page.rendering = new Rendering(document.querySelector(`[data-key=${RENDERING}]`), { moved: (source, mm) => moveTo(mm, source) });
  page.rendering.masks = masks;
  const files = await Promise.all([api.readImage(`${masks}_bones`), api.readImage(`${masks}_lesions`)]);
  await page.rendering.open(files[0], boneColours(state.study.bones), files[1], lesionColours(state.study.lesions, masks));
  if (page.place) page.rendering.goTo(page.place);
  document.body.dataset.rendering = "true";
}

export function recolour() {
  const target = page.editor?.target;
  for (const panel of panels.values()) {
    const here = target?.panel === panel ? target : null;
    panel.recolour(coloursOf(panel.image, here?.kind === "lesion" ? here.number : null));
    panel.recolourBones(boneColours(state.study.bones, here?.kind === "bone" ? here.bone : null));
  }
  if (page.rendering?.opened) page.rendering.recolour(lesionColours(state.study.lesions, page.rendering.masks));
}
