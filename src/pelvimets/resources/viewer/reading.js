// What the reader does with lesions: goes through them, judges, notes, draws.
import * as api from "./api.js";
import { change, redraw } from "./changes.js";
import { moveTo, zoomToLesion } from "./look.js";
import { attempt, centre, get, lesion, page, signed, state } from "./page.js";

const NOTE_PAUSE_MS = 700;
let noteTimer = null;

export function select(number) {
  if (page.editor.drawing) return;
  saveNote();
  state.selected = number;
  redraw();
  if (!lesion()) return;
  if (state.closeTo === null || state.closeTo === number) moveTo(centre(lesion()));
  else zoomToLesion();
}

export function step(by) {
  const { lesions } = state.study;
  if (!lesions.length) return;
  const at = lesions.findIndex((item) => item.number === state.selected);
  select(lesions[at < 0 ? 0 : (at + by + lesions.length) % lesions.length].number);
}

// After a verdict the next open lesion comes up by itself.
export async function judge(verdict) {
  if (!lesion() || page.editor.drawing) return;
  const number = state.selected;
  await attempt(change(() => api.changeLesion(number, { verdict })));
  const open = state.study.lesions.find((item) => item.verdict === "pending");
  if (verdict !== "pending" && open && lesion(number)?.verdict === verdict) select(open.number);
}

export function saveNote() {
  clearTimeout(noteTimer);
  const note = get("note"), number = Number(note.dataset.number), noted = state.study.lesions.find((item) => item.number === number);
  if (!noted || signed() || noted.note === note.value) return;
  const text = note.value;
  noted.note = text;
  attempt(change(() => api.changeLesion(number, { note: text })));
}

export function noteLater() {
  clearTimeout(noteTimer);
  noteTimer = setTimeout(saveNote, NOTE_PAUSE_MS);
}

export function editLesion(number, sequence) {
  if (signed() || page.editor.drawing) return;
  page.editor.beginLesion(number, sequence, number === null ? 0 : lesion(number).labels[sequence] ?? 0);
}

export function markNew() {
  const images = state.study.images.filter((image) => image.editable);
  const active = images.find((image) => image.key === state.active?.image?.key);
  editLesion(null, (active ?? images[0]).key);
}

export function editSelected() {
  const shown = lesion(), active = state.active?.image;
  if (!shown) return;
  editLesion(shown.number, active?.editable && active.key in shown.seen_on ? active.key : Object.keys(shown.seen_on)[0]);
}
