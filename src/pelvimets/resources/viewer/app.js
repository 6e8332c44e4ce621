// The page: what its buttons and keys do, and how it starts.
import * as api from "./api.js";
import { change, finished, onChange } from "./changes.js";
import { Editor } from "./editor.js";
import { focusOn, openPanels, openSeries } from "./images.js";
import { listenToKeys, showKeys } from "./keys.js";
import { arrange, clearRulers, enlarge, moveTo, nextPreset, resetView, setPlanes, toggleRuler, zoomToLesion } from "./look.js";
import { reloadBones, reloadLesions, showOverlays, toggle } from "./overlays.js";
import { all, attempt, centre, get, lesion, page, panels, say, signed, state } from "./page.js";
import { editSelected, judge, markNew, noteLater, saveNote, step } from "./reading.js";
import { Signature } from "./signature.js";
import { chosenBone, fillBoneChoice, showBoneEdits, showFlags, showLegend, showStudy } from "./study.js";

let signature = null;

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
    focusOn(panel);
  },
  shown: () => { if (state.study) showStudy(); },
};

function askSignature() {
  saveNote();
  signature.ask();
}

function showHelp() {
  if (!get("help-dialog").open) get("help-dialog").showModal();
}

function wire() {
  const on = (id, action, event = "click") => get(id).addEventListener(event, action);
  on("accept", () => judge("accepted"));
  on("reject", () => judge("rejected"));
  on("undecide", () => judge("pending"));
  on("new-lesion", markNew);
  on("note", noteLater, "input");
  on("note", saveNote, "blur");
  for (const kind of ["bones", "lesions", "outline", "cross"]) on(`${kind}-toggle`, () => toggle(kind));
  for (const kind of ["bones", "lesions"]) on(`${kind}-opacity`, () => { state.overlays[kind] = true; showOverlays(); }, "input");
  for (const button of all("[data-planes]")) button.addEventListener("click", () => setPlanes(button.dataset.planes));
  page.editor = new Editor(desk);
  signature = new Signature(desk);
  on("zoom-lesion", zoomToLesion);
  on("ruler", toggleRuler);
  on("clear-rulers", clearRulers);
  on("series", () => {
    const { value } = get("series");
    get("series").value = "";
    openSeries(value).catch(say);
  }, "change");
  on("edit-bone", () => page.editor.beginBone(chosenBone(), get("bone-on").value));
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
    brush: () => page.editor.use("brush"), ball: () => page.editor.use("ball"), fill: () => page.editor.use("fill"),
    erase: () => page.editor.toggleErase(), threshold: () => page.editor.toggleThreshold(),
    thinner: () => page.editor.resize(-2), thicker: () => page.editor.resize(2), undo: () => page.editor.undo(), redo: () => page.editor.redo(),
    done: () => page.editor.finish(), cancel: () => { if (state.measuring) toggleRuler(); else page.editor.close(); }, help: showHelp,
  });
  showKeys(get("help-columns"));
  addEventListener("beforeunload", (event) => { if (page.editor.drawing) event.preventDefault(); });
}

async function start() {
  wire();
  onChange(async (what) => {
    if (what) await reloadLesions();
    if (what === "bones") await reloadBones();
    showStudy();
  });
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
window.pelvimets = { state, panels, get editor() { return page.editor; }, get place() { return page.place; }, get rendering() { return page.rendering; }, settled: finished };
start().catch(say);
