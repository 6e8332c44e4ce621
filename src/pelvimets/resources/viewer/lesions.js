// The list of lesions and what is known of the one that is selected.

const STATES = { pending: "open", accepted: "accepted", rejected: "rejected" };
const SEQUENCES = { dwi: "DWI", t1: "T1" };

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

export const sizeText = (lesion) => `${lesion.volume_cm3.toFixed(1)} cm\u00b3, ${lesion.largest_axial_diameter_mm.toFixed(0)} mm`;

function stateText(lesion) {
  const words = [STATES[lesion.verdict]];
  if (lesion.origin === "reader") words.unshift("added");
  else if (lesion.edited.length) words.unshift("edited");
  if (lesion.differs) words.unshift("readers differ");
  return words.join(", ");
}

function item(lesion, selected, choose) {
  const button = element("button");
  button.type = "button";
  button.dataset.number = lesion.number;
  button.dataset.verdict = lesion.verdict;
  button.setAttribute("aria-current", String(lesion.number === selected));
  button.append(
    element("span", "mark", lesion.number), element("span", "name", lesion.title), element("span", "state", stateText(lesion)),
    element("span", "what", sizeText(lesion)), element("span", "seen", Object.keys(lesion.seen_on).map((s) => SEQUENCES[s]).join(" + ")),
  );
  button.addEventListener("click", () => choose(lesion.number));
  const entry = element("li");
  entry.append(button);
  return entry;
}

export function showList(list, lesions, selected, choose) {
  list.replaceChildren(...lesions.map((lesion) => item(lesion, selected, choose)));
  list.querySelector('[aria-current="true"]')?.scrollIntoView({ block: "nearest" });
}

export function showMeasures(head, body, lesion) {
  const sequences = Object.keys(lesion.seen_on);
  const line = (title, values) => {
    const made = element("tr");
    const name = element("th", "", title);
    name.scope = "row";
    made.append(name, ...values.map((value) => element("td", "", value)));
    return made;
  };
  const top = element("tr");
  top.append(element("th", "", ""), ...sequences.map((s) => element("th", "", SEQUENCES[s])));
  head.replaceChildren(top);
  const each = (name, digits) => sequences.map((s) => lesion.seen_on[s][name].toFixed(digits));
  const rows = [
    line("Volume, cm\u00b3", each("volume_cm3", 2)),
    line("Largest axial diameter, mm", each("largest_axial_diameter_mm", 1)),
  ];
  if (lesion.origin === "model") rows.push(line("Score", each("score", 2)));
  if (lesion.adc_mean_um2_per_s !== null) {
    const adc = line("ADC mean / median, \u00b5m\u00b2/s", [`${lesion.adc_mean_um2_per_s.toFixed(0)} / ${lesion.adc_median_um2_per_s.toFixed(0)}`]);
    adc.lastChild.colSpan = sequences.length;
    rows.push(adc);
  }
  body.replaceChildren(...rows);
}

export function editButtons(lesion, editable, actions) {
  const button = (text, title, action) => {
    const made = element("button", "", text);
    made.type = "button";
    made.title = title;
    made.addEventListener("click", action);
    return made;
  };
  const made = editable.map((s) => button(`${s in lesion.seen_on ? "Edit" : "Draw"} on ${SEQUENCES[s]}`, "Draw its shape anew (e)", () => actions.edit(s)));
  if (lesion.origin === "reader") made.push(button("Delete", "Take the added lesion back", actions.remove));
  else if (lesion.edited.length) made.push(button("First shape", "The shape that the model gave it", actions.restore));
  return made;
}
