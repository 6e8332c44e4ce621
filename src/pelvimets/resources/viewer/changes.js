// Every change goes to the server one after the other; a refused one leaves all as it was.
import * as api from "./api.js";
import { get, say, state } from "./page.js";

let queue = Promise.resolve();
let listener = async () => {};

// Called with "lesions" or "bones" where shapes changed too, else with null.
export function onChange(redrawing) { listener = redrawing; }
export const redraw = (what = null) => listener(what);
export const finished = () => queue;

// redrawn: "lesions" or "bones" where shapes change with it.
export function change(step, redrawn = null) {
  get("saved").textContent = "Saving\u2026";
  const done = queue.then(async () => {
    const study = await settled(step);
    state.study = study;
    if (study.added) state.selected = study.added;
    await redraw(redrawn);
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
      await redraw("lesions");
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
