// What is known of the study and of the selected lesion, beside the images.
import * as api from "./api.js";
import { change } from "./changes.js";
import { editButtons, showList, showMeasures } from "./lesions.js";
import { recolour } from "./overlays.js";
import { all, attempt, get, lesion, page, signed, state } from "./page.js";
import { COLOURS } from "./panel.js";
import { showReadings } from "./readings.js";
import { editLesion, select, step } from "./reading.js";

export function showStudy() {
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
    button.disabled = signed() || page.editor.drawing;
  }
  showReadings(get("readings"), shown, state.study, signed() || page.editor.drawing, (reader) => attempt(change(() => api.adopt(shown.number, reader), "lesions")));
  const editable = state.study.images.filter((image) => image.editable).map((image) => image.key);
  const buttons = editButtons(shown, editable, {
    edit: (sequence) => editLesion(shown.number, sequence),
    restore: () => attempt(change(() => api.restoreShape(shown.number), "lesions")),
    remove: () => attempt(change(() => api.removeLesion(shown.number), "lesions").then(() => step(1))),
  });
  for (const button of buttons) button.disabled = signed() || page.editor.drawing;
  get("edits").replaceChildren(...buttons);
  const note = get("note");
  if (document.activeElement !== note || note.dataset.number !== String(shown.number)) {
    note.value = shown.note;
    note.dataset.number = shown.number;
  }
  note.readOnly = signed();
}

export function showFlags() {
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

export function showLegend() {
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

export function fillBoneChoice() {
  get("bone").replaceChildren(...state.study.bones.map((bone) => new Option(bone.title, bone.value)));
  get("bone-on").replaceChildren(...state.study.images.filter((image) => image.editable).map((image) => new Option(image.title, image.key)));
}

export function showBoneEdits() {
  const changed = state.study.review.bones[get("bone-on").value] ?? [];
  get("edit-bone").disabled = signed() || page.editor.drawing;
  get("first-bones").disabled = signed() || page.editor.drawing || changed.length === 0;
  get("bones-changed").textContent = changed.length ? `drawn anew: ${changed.join(", ")}` : "";
}

export const chosenBone = () => state.study.bones.find((bone) => String(bone.value) === get("bone").value);
