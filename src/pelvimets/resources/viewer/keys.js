// The keyboard and the mouse: what is listened to is what the help shows.

const GROUPS = [
  ["Lesions", [
    [["n"], "next lesion", "next"], [["p"], "previous lesion", "previous"],
    [["a"], "accept", "accept"], [["r"], "reject", "reject"], [["u"], "take the verdict back", "undecide"],
    [["e"], "edit the shape", "edit"], [["m"], "mark a lesion not in the list", "mark"],
    [["c"], "write a note", "note"],
  ]],
  ["Slices and planes", [
    [["ArrowUp"], "slice towards the head", "up"], [["ArrowDown"], "slice towards the feet", "down"],
    [["PageUp"], "five slices up", "pageUp"], [["PageDown"], "five slices down", "pageDown"],
    [["1"], "axial", "axial"], [["2"], "coronal", "coronal"], [["3"], "sagittal", "sagittal"], [["4"], "three planes", "all"],
    [[" "], "one panel alone, and back", "maximise"],
    [["z"], "close to the lesion, and back", "zoomLesion"], [["k"], "ruler", "ruler"],
    [["+", "="], "larger", "larger"], [["-"], "smaller", "smaller"], [["0"], "view as at first", "reset"],
  ]],
  ["Greys and overlays", [
    [["w"], "next window", "preset"], [["i"], "invert", "invert"],
    [["o"], "overlays on and off", "overlays"], [["b"], "bones", "bones"], [["l"], "lesions", "lesions"],
    [["t"], "outlines", "outline"], [["g"], "crosshair", "cross"],
  ]],
  ["Drawing", [
    [["d"], "brush in the plane", "brush"], [["s"], "brush in space", "ball"],
    [["f"], "filled outline", "fill"], [["x"], "eraser, and back", "erase"],
    [["h"], "only voxels as bright as the crosshair's place", "threshold"],
    [["["], "smaller pen", "thinner"], [["]"], "larger pen", "thicker"],
    [["Enter"], "keep the drawing", "done"], [["Escape"], "leave as it was", "cancel"],
  ]],
];
const MOUSE = [
  ["Left", "place the crosshair; draws while drawing"], ["Right, dragged", "window (across) and level (down)"],
  ["Double click", "that plane alone, and back"], ["Wheel", "slices"], ["Ctrl + wheel", "zoom"], ["Shift + left, or middle", "move the image"],
  ["Ctrl + Z, Ctrl + Y", "undo and redo a stroke"],
];
const SHOWN = { ArrowUp: "\u2191", ArrowDown: "\u2193", " ": "Space", Escape: "Esc" };

export function listenToKeys(actions) {
  const table = new Map();
  for (const [, rows] of GROUPS) for (const [keys, , action] of rows) for (const key of keys) table.set(key, action);
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("textarea, input[type=text], input[type=number], dialog");
    const withControl = event.ctrlKey || event.metaKey, letter = event.key.toLowerCase();
    if (withControl && !typing && (letter === "z" || letter === "y")) {
      event.preventDefault();
      if (letter === "y" || event.shiftKey) actions.redo();
      else actions.undo();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && typing && !event.target.closest("dialog")) event.target.blur();
    if (event.key === "Enter" && event.target.matches("input[type=number]")) event.target.blur();
    if (typing) return;
    const pressed = event.target.closest("button, a, select, input");
    if (pressed && (event.key === " " || event.key === "Enter" || (event.target.type === "range" && event.key.startsWith("Arrow")))) return;
    const action = event.key === "?" ? "help" : table.get(event.key.length === 1 ? event.key.toLowerCase() : event.key);
    if (!action) return;
    event.preventDefault();
    actions[action]();
  });
  // A button pressed with the mouse gives the keyboard back to the images: Space would press it again.
  document.addEventListener("click", (event) => {
    if (event.detail > 0 && !event.target.closest("dialog")) event.target.closest("button")?.blur();
  });
}

function row(list, keys, meaning) {
  const term = document.createElement("dt"), what = document.createElement("dd");
  for (const key of keys) {
    const cap = document.createElement("kbd");
    cap.textContent = SHOWN[key] ?? key;
    term.append(cap, " ");
  }
  what.textContent = meaning;
  list.append(term, what);
}

export function showKeys(element) {
  const sections = [["Mouse", MOUSE.map(([keys, meaning]) => [[keys], meaning])], ...GROUPS];
  element.replaceChildren(...sections.map(([title, rows]) => {
    const section = document.createElement("section"), heading = document.createElement("h3"), list = document.createElement("dl");
    heading.textContent = title;
    for (const [keys, meaning] of rows) row(list, keys, meaning);
    section.append(heading, list);
    return section;
  }));
}
