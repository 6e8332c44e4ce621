// What the readers say of a lesion, and whose word is taken where their reviews are settled.

const WORDS = { accepted: "accepted", rejected: "rejected", pending: "open", absent: "not marked" };

export function showReadings(list, lesion, study, closed, adopt) {
  const readings = Object.entries(lesion.readings ?? {});
  list.hidden = readings.length === 0;
  list.replaceChildren(...readings.map(([key, reading]) => {
    const entry = document.createElement("li"), words = document.createElement("span");
    const shape = reading.edited ? ", drawn anew" : "";
    words.textContent = `${reading.name}: ${WORDS[reading.verdict]}${shape}${reading.note ? ` \u2013 ${reading.note}` : ""}`;
    entry.append(words);
    if (study.role === "settle" && reading.verdict !== "pending") {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = "Take";
      button.disabled = closed;
      button.title = `Verdict and shape as ${reading.name} has them`;
      button.setAttribute("aria-label", `Take the reading of ${reading.name}`);
      button.addEventListener("click", () => adopt(key));
      entry.append(button);
    }
    return entry;
  }));
}
