// The table of patients: sorted by its heads, filtered by words and choices. Works without a server.
(() => {
  const table = document.getElementById("patients"), body = table.tBodies[0];
  const rows = [...body.rows], words = document.getElementById("words"), count = document.getElementById("count");
  const choices = [...document.querySelectorAll("select[data-field]")];
  const SORTED = { ascending: "descending", descending: "ascending" };

  const valueIn = (row, column) => {
    const cell = row.cells[column], value = cell.dataset.value ?? cell.textContent.trim();
    return cell.dataset.value !== undefined && value !== "" ? Number(value) : value.toLowerCase();
  };

  function sortBy(head) {
    const column = head.cellIndex, direction = SORTED[head.getAttribute("aria-sort")] ?? head.dataset.first ?? "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", direction);
    const sign = direction === "ascending" ? 1 : -1;
    rows.sort((a, b) => {
      const [x, y] = [valueIn(a, column), valueIn(b, column)];
      if (typeof x === "number" && typeof y === "number") return sign * (x - y);
      return sign * String(x).localeCompare(String(y), undefined, { numeric: true });
    });
    body.append(...rows);
  }

  const patients = rows.length === 1 ? "patient" : "patients";

  function filter() {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !wanted.every((word) => text.includes(word))
        || choices.some((choice) => choice.value && row.dataset[choice.dataset.field] !== choice.value);
      if (!row.hidden) shown += 1;
    }
    count.textContent = shown === rows.length ? `${rows.length} ${patients}` : `${shown} of ${rows.length} ${patients}`;
  }

  for (const head of table.tHead.rows[0].cells) head.querySelector("button")?.addEventListener("click", () => sortBy(head));
  for (const field of [words, ...choices]) field.addEventListener("input", filter);
  filter();
})();
