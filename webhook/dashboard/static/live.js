// Keeps the page up to date, counts down, and sends actions to the admin API. Without it the page can still be read.

const body = document.body;
const say = body.dataset;
const find = (selector, from = document) => from.querySelector(selector);
const SECOND_MS = 1000;
const TICK_MS = 200;
const NOTE_MS = 5000;
const AGAIN_MS = 5000;
const AWAY_MS = 4000;
const KEPT = ["open", "disabled"]; // what the page itself sets
const TEST_EVERY_MS = 900;
const TEST_MESSAGES = 3;
const PAGE_MAX = 200; // entries of a list of the admin API
const FIRST_S = 0.2; // the scale of the gaps: webhook/dashboard/svg/gaps.py has the same two numbers
const LAST_S = 120;

let clockAheadMs = Number(say.nowMs) - Date.now(); // the clock of Redis, compared with the browser's
let isPaused = false;
let stream = null;
let awayTimer = 0;

document.documentElement.classList.add("js");

// ---- the stream ----

function open() {
  close();
  if (isPaused || document.hidden) return;
  stream = new EventSource(`/dashboard/events${location.search}`);
  stream.addEventListener("panels", (event) => {
    const { now_ms: nowMs, panels } = JSON.parse(event.data);
    clockAheadMs = nowMs - Date.now();
    for (const [name, html] of Object.entries(panels)) show(name, html);
    back();
    setState("is-live", say.live);
    count();
  });
  stream.addEventListener("away", () => setState("is-away", say.offline));
  stream.onerror = () => {
    awayTimer ||= setTimeout(() => setState("is-away", say.offline), AWAY_MS); // a stream that just ended comes again
    if (stream && stream.readyState === EventSource.CLOSED) setTimeout(open, AGAIN_MS);
  };
}

function close() {
  if (stream) stream.close();
  stream = null;
  back();
}

function back() {
  clearTimeout(awayTimer);
  awayTimer = 0;
}

function setState(kind, text) {
  const state = find("[data-state]");
  state.className = `state ${kind}`;
  find("[data-state-text]").textContent = text;
}

function show(name, html) {
  const panel = find(`[data-panel="${name}"]`);
  if (panel) patch(panel, new DOMParser().parseFromString(`<body>${html}`, "text/html").body);
}

// Change what differs and leave the rest: the focus, open groups and the place of a scroll stay.
function patch(old, fresh) {
  const keyed = new Map();
  for (const child of old.childNodes) if (keyOf(child)) keyed.set(keyOf(child), child);
  let at = old.firstChild;
  for (const wanted of [...fresh.childNodes]) {
    const key = keyOf(wanted);
    const found = key ? keyed.get(key) : at && !keyOf(at) && isLike(at, wanted) ? at : null;
    if (!found || !isLike(found, wanted)) {
      old.insertBefore(document.adoptNode(wanted), at);
      continue;
    }
    if (found === at) at = at.nextSibling;
    else old.insertBefore(found, at);
    if (key) keyed.delete(key);
    patchOne(found, wanted);
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

function patchOne(old, fresh) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
    return;
  }
  if (old.matches("input, output, .trial.moved")) return;
  const isCounted = old.matches("[data-due-ms], [data-ago-ms]");
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !KEPT.includes(name)) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  if (!isCounted) patch(old, fresh);
}

const keyOf = (node) => (node.dataset && node.dataset.key) || null;
const isLike = (one, other) => one.nodeType === other.nodeType && one.nodeName === other.nodeName;

// ---- countdowns ----

function duration(ms) {
  if (ms < 60 * SECOND_MS) return `${(ms / SECOND_MS).toFixed(1)} s`;
  const seconds = Math.round(ms / SECOND_MS);
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, "0")} s`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${String(Math.floor((seconds % 3600) / 60)).padStart(2, "0")} min`;
  return `${Math.floor(seconds / 86400)} d`;
}

function short(ms) {
  const seconds = Math.max(0, Math.floor(ms / SECOND_MS));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  return seconds < 86400 ? `${Math.floor(seconds / 3600)} h` : `${Math.floor(seconds / 86400)} d`;
}

const fill = (text, value) => text.replace("{t}", value);

function count() {
  const nowMs = Date.now() + clockAheadMs;
  for (const one of document.querySelectorAll("[data-due-ms]")) {
    const leftMs = Number(one.dataset.dueMs) - nowMs;
    const isLate = leftMs < -2 * SECOND_MS;
    write(one, leftMs > 0 ? fill(say.dueIn, duration(leftMs)) : isLate ? fill(say.dueAgo, short(-leftMs)) : say.dueNow);
    one.classList.toggle("is-late", leftMs < -10 * SECOND_MS);
  }
  for (const one of document.querySelectorAll("[data-ago-ms]")) {
    write(one, fill(say.ago, short(nowMs - Number(one.dataset.agoMs))));
  }
  for (const one of document.querySelectorAll("[data-cap-ms]")) {
    const openedMs = Number(one.dataset.openedMs);
    const share = (nowMs - openedMs) / (Number(one.dataset.capMs) - openedMs);
    const gone = find(".gone", one);
    if (gone) gone.setAttribute("width", `${Math.min(100, Math.max(0, share * 100)).toFixed(2)}%`);
  }
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// ---- actions ----

async function send(path, content, method = "POST") {
  const headers = content === undefined ? {} : { "content-type": "application/json" };
  const answer = await fetch(path, { method, headers, body: content, credentials: "same-origin" });
  const found = await answer.json().catch(() => ({}));
  if (!answer.ok) throw Object.assign(new Error(found.detail || String(answer.status)), { status: answer.status });
  return found;
}

let noteTimer = 0;

function note(text) {
  find("[data-note]").textContent = text;
  clearTimeout(noteTimer);
  noteTimer = setTimeout(() => (find("[data-note]").textContent = ""), NOTE_MS);
}

async function act(button, work) {
  if (button.dataset.confirm && !(await ask(button.dataset.confirm))) return;
  button.disabled = true;
  try {
    await work();
    note(`${button.textContent.trim()}: ${say.done}`);
  } catch (error) {
    note(`${say.failed} ${error.message}`);
  } finally {
    button.disabled = false;
  }
}

function ask(text) {
  const dialog = find("[data-ask]");
  find("[data-ask-text]").textContent = text;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

const idsOf = (group) => [...group.querySelectorAll("[data-id]")].map((one) => one.dataset.id);

function contentOf(button) {
  if (!("ids" in button.dataset)) return button.dataset.body;
  return JSON.stringify({ flush_ids: idsOf(button.closest("details")) });
}

// What somebody else has settled meanwhile is left out.
async function sendEach({ each, of: list }, group) {
  for (const id of list ? await allIds(list) : idsOf(group)) {
    await send(each.replace("{id}", encodeURIComponent(id))).catch((error) => {
      if (error.status !== 404) throw error;
    });
  }
}

async function allIds(list) {
  const ids = [];
  let cursor = null;
  do {
    const place = cursor ? `&cursor=${encodeURIComponent(cursor)}` : "";
    const page = await send(`${list}?limit=${PAGE_MAX}${place}`, undefined, "GET");
    ids.push(...page.items.map((item) => item.id));
    cursor = page.next_cursor;
  } while (cursor);
  return ids;
}

async function retryAll() {
  let cursor = null;
  do {
    const found = await send("/dead-letters/retry", JSON.stringify(cursor ? { all: true, cursor } : { all: true }));
    cursor = found.next_cursor;
  } while (cursor);
}

async function testBurst() {
  const person = `5511900000${String(Math.floor(Math.random() * 1000)).padStart(3, "0")}`;
  for (let number = 1; number <= TEST_MESSAGES; number += 1) {
    await send("/dashboard/test-burst", JSON.stringify({ person, number }));
    if (number < TEST_MESSAGES) await new Promise((resolve) => setTimeout(resolve, TEST_EVERY_MS));
  }
}

// ---- one conversation ----

let looked = null;

async function look(path) {
  looked = await send(path, undefined, "GET");
  draw(false);
  find("[data-look]").showModal();
}

function draw(isOpen) {
  const who = looked.conversation;
  const number = isOpen ? who.id : "••••";
  find("[data-look-title]").textContent = `${who.gateway}/${isOpen ? who.channel : "••••"} · ${number}`;
  const facts = isOpen && who.name ? [["name", who.name]] : [];
  for (const name of ["state", "reason", "error", "attempts", "parts", "flush_id", "ref"]) {
    if (looked[name]) facts.push([name, name === "error" && !isOpen ? "••••" : looked[name]]);
  }
  find("[data-look-facts]").replaceChildren(...facts.flatMap(([name, value]) => [element("dt", name), element("dd", value)]));
  const messages = [...(looked.batch || []), ...(looked.burst || []), ...(looked.shown || [])];
  find("[data-look-messages]").replaceChildren(...messages.map((one) => messageItem(one, isOpen)));
  find("[data-reveal]").hidden = isOpen;
}

function messageItem(message, isOpen) {
  const item = document.createElement("li");
  const moment = new Date(message.received_ms);
  const time = element("time", moment.toLocaleTimeString());
  time.dateTime = moment.toISOString();
  item.append(time, isOpen && message.text ? message.text : `${message.kind} ••••`);
  return item;
}

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = String(text);
  return made;
}

// ---- events of the person at the page ----

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  const { post, each, open: path } = button.dataset;
  if (each) act(button, () => sendEach(button.dataset, button.closest("details")));
  else if (post) act(button, () => send(post, contentOf(button)));
  else if (path) look(path).catch((error) => note(`${say.failed} ${error.message}`));
  else if ("retryAll" in button.dataset) act(button, retryAll);
  else if ("testBurst" in button.dataset) act(button, testBurst);
  else if ("reveal" in button.dataset) draw(true);
  else if ("close" in button.dataset) {
    forget(); // the event comes later
    button.closest("dialog").close();
  }
  else if ("pause" in button.dataset) pause(button);
});

function forget() {
  looked = null;
  for (const part of ["title", "facts", "messages"]) find(`[data-look-${part}]`).replaceChildren();
}

find("[data-look]").addEventListener("close", forget); // also by Escape

function pause(button) {
  isPaused = !isPaused;
  button.setAttribute("aria-pressed", String(isPaused));
  if (isPaused) {
    close();
    setState("", say.paused);
  } else open();
}

document.addEventListener("input", (event) => {
  const slider = event.target;
  if (!slider.dataset.trial) return;
  const [splits, premature] = JSON.parse(slider.dataset.trial)[slider.value - 1];
  const label = slider.closest("label");
  const told = { s: slider.value, share: Math.round(splits * 100), premature: premature.toFixed(2) };
  find("[data-trial-out]", label).textContent = slider.dataset.trialText.replace(/{(\w+)}/g, (_, name) => told[name]);
  const x = `${((100 * Math.log(slider.value / FIRST_S)) / Math.log(LAST_S / FIRST_S)).toFixed(2)}%`;
  const line = find(".at.trial");
  line.setAttribute("x1", x);
  line.setAttribute("x2", x);
  line.classList.add("moved");
});

document.addEventListener("change", (event) => {
  if (event.target.matches(".filters select")) event.target.form.requestSubmit();
});

document.addEventListener("keydown", (event) => {
  const isTyping = event.target.matches("input, select, textarea");
  if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    find('[name="q"]').focus();
  } else if (event.key === "Escape" && event.target.matches('[name="q"]')) event.target.blur();
});

document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));

setInterval(() => isPaused || count(), TICK_MS);
open();
count();
