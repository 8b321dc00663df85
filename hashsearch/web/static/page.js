// Drag, drop and paste; a preview and a waiting state; the results of an upload without leaving the page.
"use strict";

const form = document.querySelector("form.query");
const input = form.elements.image;
const main = document.querySelector("main");
document.documentElement.classList.add("scripted");

function search(files) {
  if (files) input.files = files;
  if (!input.files.length) return;
  form.elements.id?.remove();
  preview(input.files[0]);
  form.requestSubmit();
}

function preview(file) {
  const place = form.querySelector(".preview");
  const picture = new Image();
  picture.src = URL.createObjectURL(file);
  picture.alt = `the picture searched with: ${file.name}`;
  picture.onload = () => URL.revokeObjectURL(picture.src);
  picture.onerror = () => (place.hidden = true);
  place.replaceChildren(picture);
  place.hidden = false;
  form.querySelector(".caption").textContent = file.name;
  form.querySelector(".invitation b").textContent = "Another picture";
}

// The newest upload counts; one still under way is dropped.
let pending = new AbortController();

async function upload() {
  pending.abort();
  const mine = (pending = new AbortController());
  main.className = "found";
  document.body.ariaBusy = "true";
  try {
    const answer = await fetch(form.action, { method: "POST", body: new FormData(form), signal: mine.signal });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const results = page.querySelector("#results");
    if (!results) throw new Error(`the server answered ${answer.status} ${answer.statusText}`);
    document.querySelector("#results").replaceChildren(...results.childNodes);
    for (const part of [".stock", ".controls"]) refresh(part, page);
    document.title = page.title;
    document.querySelector("[role=status]").textContent = results.querySelector("h2")?.textContent;
    if (location.search) history.pushState(null, "", location.pathname);
  } catch (error) {
    if (mine.signal.aborted) return;
    tell("The search did not go through", `${error.message}. Is the server still running?`);
  }
  document.body.ariaBusy = "false";
}

// Each model has a stock and categories of its own; beside a problem there are none.
function refresh(part, page) {
  const [shown, found] = [document, page].map((place) => place.querySelector(part));
  if (!shown || !found) return;
  const name = document.activeElement.name;
  shown.innerHTML = found.innerHTML;
  form.elements[name]?.focus();
}

function tell(headline, message) {
  const problem = document.createElement("div");
  problem.className = "problem";
  problem.role = "alert";
  for (const [tag, text] of [["h2", headline], ["p", message]]) {
    problem.appendChild(document.createElement(tag)).textContent = text;
  }
  document.querySelector("#results").replaceChildren(problem);
}

input.addEventListener("change", () => search());
form.addEventListener("submit", (event) => {
  if (!input.files.length) return;
  event.preventDefault();
  upload();
});
form.addEventListener("change", (event) => {
  if (event.target.matches("select")) form.requestSubmit();
});

let depth = 0; // dragenter and dragleave also come from every element inside
for (const [name, step] of [["dragenter", 1], ["dragleave", -1]]) {
  addEventListener(name, (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    depth += step;
    document.body.classList.toggle("dragging", depth > 0);
  });
}
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  depth = 0;
  document.body.classList.remove("dragging");
  if (event.dataTransfer.files.length) search(first(event.dataTransfer.files));
});
addEventListener("paste", (event) => {
  if (event.clipboardData.files.length) search(first(event.clipboardData.files));
});
addEventListener("error", ({ target }) => target.tagName === "IMG" && target.remove(), true); // an empty frame is neater
addEventListener("popstate", () => location.reload());

function first(files) {
  const list = new DataTransfer();
  list.items.add(files[0]);
  return list.files;
}
