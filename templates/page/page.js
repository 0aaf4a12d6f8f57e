"use strict";
// What a page can do beyond being read: tables are sorted and searched, folded tables open for
// print, marks of charts are walked with the arrow keys, and figures tell their sources.
(() => {
  const tip = document.getElementById("tip");
  const tell = (text) => { tip.textContent = text; tip.hidden = !text; };

  for (const table of document.querySelectorAll("table")) {
    const body = table.tBodies[0];
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const key = (row) => row.cells[column].querySelector("data").value;
        const rows = [...body.rows].sort((a, b) => {
          const [x, y] = [key(a), key(b)];
          const order = x === "" || y === "" || isNaN(x) || isNaN(y)
            ? x.localeCompare(y, "en", { numeric: true }) : x - y;
          return down ? -order : order;
        });
        body.replaceChildren(...rows);
      });
    });
    if (body.rows.length > 12) {
      const find = document.createElement("input");
      find.type = "search";
      find.className = "find";
      find.placeholder = "Find in this table";
      find.setAttribute("aria-label", "Find in this table");
      find.addEventListener("input", () => {
        const text = find.value.toLowerCase();
        for (const row of body.rows) row.hidden = !row.textContent.toLowerCase().includes(text);
      });
      table.parentElement.before(find);
    }
  }

  for (const plot of document.querySelectorAll(".chart .wide, .chart .narrow")) {
    const marks = [...plot.querySelectorAll("[role=graphics-symbol][aria-label]")];
    let at = -1;
    const on = (next) => {
      if (at >= 0) marks[at].classList.remove("on");
      at = next;
      if (at >= 0) marks[at].classList.add("on");
      tell(at < 0 ? "" : marks[at].getAttribute("aria-label"));
    };
    plot.addEventListener("pointerover", (event) => on(marks.indexOf(event.target)));
    plot.addEventListener("pointerleave", () => on(-1));
    plot.addEventListener("blur", () => on(-1));
    plot.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (event.key === "Escape") on(-1);
      if (!step || !marks.length) return;
      event.preventDefault();
      on((at + step + marks.length) % marks.length);
    });
  }

  for (const one of document.querySelectorAll("data[data-source]")) one.title = one.dataset.source;

  let opened = [];
  window.addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const one of opened) one.open = true;
  });
  window.addEventListener("afterprint", () => { for (const one of opened) one.open = false; });
})();
