// Drag, drop and paste; a preview; the results of an upload without leaving the page.
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
  const frame = form.querySelector(".preview");
  const picture = new Image();
  picture.src = URL.createObjectURL(file);
  picture.alt = `query picture: ${file.name}`;
  picture.onload = () => URL.revokeObjectURL(picture.src);
  picture.onerror = () => (frame.hidden = true);
  frame.replaceChildren(picture);
  frame.hidden = false;
  form.querySelector(".caption").textContent = file.name;
  form.querySelector(".invitation b").textContent = "Another picture";
}

// Only the latest upload counts; one that is still running is aborted.
let pending = new AbortController();

async function upload() {
  pending.abort();
  const current = (pending = new AbortController());
  main.className = "with-results";
  document.body.ariaBusy = "true";
  let status;
  try {
    const response = await fetch(form.action, { method: "POST", body: new FormData(form), signal: current.signal });
    status = response.status;
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const results = page.querySelector("#results");
    if (!results) throw new Error(`no page in the response, status ${status}`);
    document.querySelector("#results").replaceChildren(...results.childNodes);
    for (const part of [".stock", ".controls"]) refresh(part, page);
    document.title = page.title;
    document.querySelector("[role=status]").textContent = results.querySelector("h2")?.textContent;
    if (location.search) history.pushState(null, "", location.pathname);
  } catch (error) {
    if (current.signal.aborted) return;
    console.error(error);
    showProblem("The search failed", explanation(status));
  }
  document.body.ariaBusy = "false";
}

// Why there are no results; without a status nothing answered, and a 413 without a page is the HTTP server's.
function explanation(status) {
  if (status === 413) return "That picture is too large.";
  if (status) return "The search is not available right now. Try again in a moment.";
  return "No answer from the search service. Check the connection and try again.";
}

// Each model has its own number of images and categories; an error page has neither.
function refresh(part, page) {
  const [before, after] = [document, page].map((source) => source.querySelector(part));
  if (!before || !after) return;
  const name = document.activeElement.name;
  before.innerHTML = after.innerHTML;
  form.elements[name]?.focus();
}

function showProblem(headline, message) {
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
addEventListener("error", ({ target }) => target.tagName === "IMG" && target.remove(), true); // an empty frame looks better
addEventListener("popstate", () => location.reload());

function first(files) {
  const list = new DataTransfer();
  list.items.add(files[0]);
  return list.files;
}
