// Tables sort by a column when its title is pressed. Without scripts they stay as they are: best first.
for (const head of document.querySelectorAll("table:not(.words) thead th")) {
  const table = head.closest("table"), body = table.tBodies[0], at = head.cellIndex;
  const value = (row) => {
    const cell = row.cells[at];
    return cell === undefined ? NaN : at === 0 ? cell.textContent.trim() : parseFloat(cell.dataset.order);
  };
  const compare = (a, b) => (typeof a === "string" ? a.localeCompare(b) : isNaN(a) - isNaN(b) || b - a || 0);
  const button = document.createElement("button");
  button.type = "button";
  button.append(...head.childNodes);
  head.append(button);
  button.addEventListener("click", () => {
    const turned = head.getAttribute("aria-sort") === (at ? "descending" : "ascending");
    table.querySelectorAll("th[aria-sort]").forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", (at === 0) === turned ? "descending" : "ascending");
    const rows = [...body.rows].sort((one, other) => {
      const a = value(one), b = value(other);
      return turned && a === a && b === b ? compare(b, a) : compare(a, b);
    });
    body.append(...rows);
  });
}
