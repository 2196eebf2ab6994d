"use strict";
// Sorting and filtering: the page is read without them.
const number = (text) => parseFloat(text.replace(/,/g, ""));
const valueOf = (row, column) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
function sort(table, column, head) {
  const down = head.getAttribute("aria-sort") === "ascending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const body = table.tBodies[0];
  const rows = [...body.rows].sort((a, b) => {
    const [x, y] = [valueOf(a, column), valueOf(b, column)];
    const [n, m] = [number(x), number(y)];
    const both = !Number.isNaN(n) && !Number.isNaN(m);
    return (down ? -1 : 1) * (both ? n - m : x.localeCompare(y));
  });
  body.append(...rows);
}
for (const table of document.querySelectorAll("table")) {
  if (table.tBodies[0].rows.length < 2) continue;
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    button.addEventListener("click", () => sort(table, column, head));
    head.replaceChildren(button);
  });
  if (!table.dataset.filter) continue;
  const label = document.createElement("label");
  const input = document.createElement("input");
  input.type = "search";
  label.append(`Rows with `, input);
  input.setAttribute("aria-label", `Filter: ${table.dataset.filter}`);
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/);
    for (const row of table.tBodies[0].rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
  });
  table.parentElement.before(label);
}
// What a link leads to may be folded away.
function unfold() {
  const target = location.hash && document.getElementById(location.hash.slice(1));
  for (let own = target; own; own = own.parentElement) if (own.tagName === "DETAILS") own.open = true;
  if (target) target.scrollIntoView();
}
addEventListener("hashchange", unfold);
unfold();
