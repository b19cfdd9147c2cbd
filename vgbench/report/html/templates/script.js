
"use strict";
(() => {
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

  // Without a script nothing here would answer, so these are shown by it.
  for (const element of all("[data-needs-script]")) element.hidden = false;

  // What a cell sorts by: in columns of numbers its number, null for none; otherwise its text.
  function keyOf(cell, isNumber) {
    if (!isNumber) return cell.textContent.trim();
    const number = Number.parseFloat(cell.dataset.v ?? cell.textContent);
    return Number.isNaN(number) ? null : number;
  }

  // Cells without a number stay last in either direction.
  function compare(a, b, sign) {
    if (a === null || b === null) return (a === null) - (b === null);
    return sign * (typeof a === "number" ? a - b : collator.compare(a, b));
  }

  function sort(heading) {
    const sign = heading.ariaSort === "ascending" ? -1 : 1;
    const body = heading.closest("table").tBodies[0];
    const isNumber = heading.classList.contains("number");
    const rows = [...body.rows].map((row) => [keyOf(row.cells[heading.cellIndex], isNumber), row]);
    rows.sort(([a], [b]) => compare(a, b, sign));
    const sorted = document.createDocumentFragment();
    for (const [, row] of rows) sorted.append(row);
    body.append(sorted);
    for (const other of heading.parentElement.cells) other.ariaSort = "none";
    heading.ariaSort = sign === 1 ? "ascending" : "descending";
  }

  for (const heading of all("table.sortable thead th")) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    button.addEventListener("click", () => sort(heading));
    heading.append(button);
  }

  document.getElementById("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const preferred = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    const shown = root.dataset.theme ?? preferred;
    root.dataset.theme = shown === "dark" ? "light" : "dark";
  });

  // Playing starts all videos anew, so that they stay in step.
  const videos = all("video");
  const play = document.getElementById("play");
  function setPlaying(playing) {
    play.textContent = playing ? "Pause videos" : "Play videos together";
    for (const video of videos) {
      if (playing) {
        video.currentTime = 0;
        video.play().catch(() => {});
      } else {
        video.autoplay = false;
        video.pause();
      }
    }
  }
  play.hidden = videos.length === 0;
  for (const video of videos) video.controls = false; // they would cover the lowest row
  play.addEventListener("click", () => setPlaying(videos.every((video) => video.paused)));
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) setPlaying(false);

  // The clipboard may be closed to pages opened from disk; then the text is left selected.
  async function copy(button) {
    const text = button.parentElement.querySelector("code");
    try {
      await navigator.clipboard.writeText(text.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(text);
      button.textContent = "Press Ctrl+C";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  }
  for (const button of all("button.copy")) button.addEventListener("click", () => copy(button));

  // A link to a closed part opens it.
  function reveal() {
    const target = document.getElementById(location.hash.slice(1));
    if (target instanceof HTMLDetailsElement) target.open = true;
  }
  addEventListener("hashchange", reveal);
  reveal();
})();
