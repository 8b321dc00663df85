// Drag, drop and paste; a preview; the results of an upload without leaving the page.
"use strict";

const form = document.querySelector("form.query");
const input = form.elements.image;
const results = document.querySelector("#results");
const announcement = document.querySelector("[role=status]");
document.documentElement.classList.add("scripted");

let picture; // the file to search with; the input forgets it, so that it can be chosen again

function search(file) {
  if (!file) return;
  picture = file;
  form.elements.id?.remove();
  preview();
  form.requestSubmit();
}

function preview() {
  const frame = form.querySelector(".preview");
  const image = new Image();
  image.src = URL.createObjectURL(picture);
  image.alt = `query picture: ${picture.name}`;
  image.onload = () => URL.revokeObjectURL(image.src);
  image.onerror = () => (frame.hidden = true);
  frame.replaceChildren(image);
  frame.hidden = false;
  form.querySelector(".caption").textContent = picture.name;
  form.querySelector(".invitation b").textContent = "Another picture";
}

// Only the latest upload counts; one that is still running is aborted.
let pending = new AbortController();

async function upload() {
  pending.abort();
  const { signal } = (pending = new AbortController());
  document.querySelector("main").className = "with-results";
  announcement.textContent = "";
  results.ariaBusy = "true";
  let status;
  try {
    const limit = Number(input.dataset.maxBytes);
    if (picture.size > limit) return showProblem("That image is too large", `An image may have at most ${limit / 1e6} MB.`);
    const body = new FormData(form);
    body.set("image", picture);
    const response = await fetch(form.action, { method: "POST", body, signal });
    status = response.status;
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const found = page.querySelector("#results");
    if (!found) throw new Error(`no page in the response, status ${status}`);
    results.replaceChildren(...found.childNodes);
    for (const part of [".stock", ".controls"]) refresh(part, page);
    document.title = page.title;
    announcement.textContent = results.querySelector(".heading h2")?.textContent ?? ""; // a problem is an alert itself
    if (status >= 500) offerAgain();
    if (location.search) history.pushState(null, "", location.pathname);
  } catch (error) {
    if (signal.aborted) return;
    console.error(error);
    showProblem("The search failed", explanation(status));
    if (status !== 413) offerAgain();
  } finally {
    if (!signal.aborted) results.ariaBusy = "false";
  }
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
  const problem = document.querySelector("#problem").content.cloneNode(true);
  problem.querySelector("h2").textContent = headline;
  problem.querySelector("p").textContent = message;
  results.replaceChildren(problem);
}

// The same picture once more, where the reason may be gone by then.
function offerAgain() {
  const button = results.querySelector(".again");
  button.hidden = false;
  button.addEventListener("click", () => {
    results.focus(); // the button goes
    form.requestSubmit();
  });
}

input.addEventListener("change", () => {
  const [file] = input.files;
  input.value = "";
  search(file);
});
form.addEventListener("submit", (event) => {
  if (!picture) return;
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
  search(event.dataTransfer.files[0]);
});
addEventListener("paste", (event) => search(event.clipboardData.files[0]));
// A busy server refuses thumbnails for a moment. An empty frame looks better than a broken picture.
addEventListener("error", ({ target }) => {
  if (target.tagName !== "IMG") return;
  const tries = (target.dataset.tries = Number(target.dataset.tries ?? 0) + 1);
  if (tries > 3 || !target.src.startsWith(location.origin)) target.remove();
  else setTimeout(() => (target.src = target.src), 1000 * tries);
}, true);
addEventListener("popstate", () => location.reload());
