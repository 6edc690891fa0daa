// The frame: who is there, where they are, and what is drawn around each view.

import * as api from "/api.js";
import { lang, setLang, t } from "/i18n.js";
import { announce, button, field, h, known, newID, notice, number, problem, say, tick } from "/ui.js";
import { overview } from "/views/overview.js";
import { cause, causes } from "/views/causes.js";
import { letters } from "/views/letters.js";
import { letter } from "/views/letter.js";
import { operation, operations } from "/views/operations.js";
import { holds, limits, queues } from "/views/control.js";
import { rules } from "/views/rules.js";
import { audit } from "/views/audit.js";
import { alerts } from "/views/alerts.js";

// The pages. A path is its first segment; what follows is an app and an ID.
const pages = [
  { path: "", key: "o", name: "nav.overview", view: overview },
  { path: "causes", key: "c", name: "nav.causes", view: causes, one: cause },
  { path: "dead-letters", key: "d", name: "nav.letters", view: letters, one: letter, start: "?state=dead" },
  { path: "operations", key: "p", name: "nav.operations", view: operations, one: operation },
  { path: "queues", key: "q", name: "nav.queues", view: queues, group: "nav.group.traffic" },
  { path: "holds", key: "h", name: "nav.holds", view: holds },
  { path: "limits", key: "l", name: "nav.limits", view: limits },
  { path: "rules", key: "r", name: "nav.rules", view: rules, group: "nav.group.know" },
  { path: "alerts", key: "a", name: "nav.alerts", view: alerts },
  { path: "audit", key: "u", name: "nav.audit", view: audit },
];

const shell = document.getElementById("shell");
let session = null;
let current = { abort: new AbortController(), listeners: [] };
let main;
let badges = {};
let counts = new Map();
let stopEvents = () => {};

// Where we are

function find(location) {
  const [first = "", app, ...rest] = location.pathname.slice(1).split("/").map(decode);
  const page = pages.find((p) => p.path === first);
  if (!page || (app !== undefined && app !== "" && !page.one)) return null;
  const id = rest.join("/");
  if (app && !id) return null;
  return { page, view: id ? page.one : page.view, app, id };
}

function decode(segment) {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

export function go(where, { replace = false } = {}) {
  if (replace) {
    history.replaceState(history.state, "", where);
  } else {
    history.replaceState({ ...history.state, scroll: scrollY }, "");
    history.pushState({}, "", where);
  }
  return show();
}

addEventListener("popstate", () => show({ scroll: history.state?.scroll ?? 0 }));
history.scrollRestoration = "manual";

document.addEventListener("click", (e) => {
  const a = e.target.closest?.("a[href]");
  if (!a || e.defaultPrevented || e.button !== 0 || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey || a.target) return;
  if (a.id === "skip") {
    e.preventDefault();
    main?.focus();
    return;
  }
  if (a.origin !== location.origin || a.hash || !find(a)) return;
  e.preventDefault();
  go(a.pathname + a.search);
});

// show draws the view that the address names. quiet keeps the focus where it is.
async function show({ scroll = 0, quiet = false } = {}) {
  if (!session) return start();
  const before = current;
  before.abort.abort();
  const here = { abort: new AbortController(), listeners: [], timers: [], path: location.pathname };
  current = here;
  before.timers?.forEach(clearInterval);
  const route = find(location);
  markNav(route?.page);
  closeMenu();
  const samePage = before.path === here.path;
  const waiting = setTimeout(() => {
    if (current === here && !quiet) main.replaceChildren(h("p.loading", {}, t("loading")));
  }, 250);
  let title;
  let body;
  try {
    if (!route) {
      ({ title, body } = missing());
    } else {
      ({ title, body } = await route.view(context(here, route)));
    }
  } catch (e) {
    if (e.name === "AbortError" || current !== here) return;
    if (!(e instanceof api.Problem)) console.error(e);
    title = t(route?.page.name ?? "error.other");
    body = [h("h1", {}, title), problem(e), button(t("retry"), () => show())];
  } finally {
    clearTimeout(waiting);
  }
  if (current !== here || !session) return;
  document.title = `${title} · emq`;
  const keep = quiet && main.contains(document.activeElement) ? trail(document.activeElement) : null;
  main.replaceChildren(...[body].flat(Infinity).filter(Boolean));
  if (keep) {
    follow(keep)?.focus({ preventScroll: true });
  } else if (!quiet) {
    if (samePage && before.focusName) main.querySelector(`[name="${CSS.escape(before.focusName)}"]`)?.focus({ preventScroll: true });
    else {
      const heading = main.querySelector("h1");
      heading?.setAttribute("tabindex", "-1");
      heading?.focus({ preventScroll: true });
    }
    scrollTo(0, scroll);
  }
  here.drawn?.();
}

// trail remembers an element by its place, so that a redrawn page keeps the focus.
function trail(el) {
  const steps = [];
  for (; el !== main; el = el.parentElement) steps.unshift([Array.from(el.parentElement.children).indexOf(el), el.tagName]);
  return steps;
}

function follow(steps) {
  let el = main;
  for (const [i, tag] of steps) {
    el = el.children[i];
    if (el?.tagName !== tag) return null;
  }
  return el;
}

// context is what a view is given.
function context(here, route) {
  return {
    app: route.app, id: route.id, session,
    query: new URLSearchParams(location.search),
    signal: here.abort.signal,
    get: (where, options) => api.get(where, { ...options, signal: here.abort.signal }),
    list: (where) => api.list(where, { signal: here.abort.signal }),
    can: (what) => may(what),
    go,
    reload: (options) => show({ quiet: true, scroll: scrollY, ...options }),
    active: () => current === here,
    keepFocus: (name) => { here.focusName = name; },
    on: (name, f) => here.listeners.push([name, f]),
    every: (seconds, f) => here.timers.push(setInterval(() => document.visibilityState === "visible" && !document.querySelector("dialog[open]") && f(), seconds * 1000)),
    drawn: (f) => { here.drawn = f; },
    counts,
  };
}

const ranks = ["viewer", "operator", "admin"];
function may(what) {
  if (session.read_only) return false;
  const rank = ranks.indexOf(session.role === "read-only" || session.role === "readonly" ? "viewer" : session.role);
  return rank >= ranks.indexOf(what === "admin" ? "admin" : "operator");
}

function missing() {
  return { title: t("missing"), body: [h("h1", {}, t("missing")), h("p", {}, t("missing.text")), h("p", {}, h("a", { href: "/" }, t("nav.overview")))] };
}

// The frame

function frame() {
  badges = {};
  main = h("main", { id: "main", tabindex: "-1" });
  const menu = h("nav", { id: "nav", "aria-label": t("nav") });
  for (const p of pages) {
    if (p.group) menu.append(h("p.group", {}, t(p.group)));
    const badge = h("span.badge", { hidden: true });
    badges[p.path] = badge;
    menu.append(h("a", { href: `/${p.path}${p.start ?? ""}`, "data-page": p.path }, h("span", {}, t(p.name)), badge));
  }
  const toggle = h("button.menu", { type: "button", "aria-expanded": "false", "aria-controls": "nav", onclick: () => openMenu(toggle.getAttribute("aria-expanded") !== "true") }, t("menu"));
  const find = h("form.jump", { role: "search", onsubmit: (e) => { e.preventDefault(); jump(new FormData(find).get("id").trim()); } },
    h("input", { name: "id", type: "search", "aria-label": t("jump"), placeholder: t("jump"), autocomplete: "off", spellcheck: "false" }));
  const who = h("div.who", {},
    session.read_only && h("span.pill.warn", { title: t("read_only.text") }, t("read_only")),
    session.masked && h("span.pill.ask", { title: t("masked.text") }, t("masked")),
    session.name && h("span.name", {}, say(session.name), session.role && h("small", {}, " ", known("role", session.role))),
    session.csrf && button(t("sign_out"), signOut, { tone: "quiet" })); // without one, nobody signed in
  shell.replaceChildren(
    h("header.top", {}, h("a.brand", { href: "/", "aria-label": "emq: " + t("nav.overview") }, h("span.mark", { "aria-hidden": "true" }), "emq"), toggle, find, h("div.tools", {}, themeButton(), languageButton(), who)),
    h("div.side", {}, menu, h("footer.foot", {}, button(t("keys"), help, { tone: "quiet" }), session.version && h("span.muted", {}, say(session.version)))),
    main);
}

const toggleButton = () => shell.querySelector("button.menu");
function openMenu(open) {
  toggleButton()?.setAttribute("aria-expanded", String(open));
  shell.classList.toggle("open", open);
}
const closeMenu = () => openMenu(false);

function markNav(page) {
  for (const a of shell.querySelectorAll("nav a")) {
    if (page && a.dataset.page === page.path) a.setAttribute("aria-current", "page");
    else a.removeAttribute("aria-current");
  }
}

function languageButton() {
  const other = lang() === "zh" ? "en" : "zh";
  return h("button.quiet", { type: "button", id: "language", lang: other === "zh" ? "zh-CN" : "en", onclick: () => { setLang(other); redraw("language"); } }, other === "zh" ? "中文" : "English");
}

const themes = ["auto", "light", "dark"];
function themeButton() {
  const now = document.documentElement.dataset.theme;
  return h("button.quiet", { type: "button", id: "theme", title: t("theme"), onclick: () => {
    const next = themes[(themes.indexOf(now) + 1) % themes.length];
    setTheme(next);
    redraw("theme");
  } }, t("theme." + now));
}

function setTheme(theme) {
  document.documentElement.dataset.theme = themes.includes(theme) ? theme : "auto";
  try {
    localStorage.setItem("emq.theme", theme);
  } catch { /* a browser that keeps nothing */ }
}

// redraw draws frame and view anew, in another language or theme.
async function redraw(focus) {
  if (!session) {
    loginPage();
  } else {
    frame();
    drawCounts();
    await show({ quiet: true, scroll: scrollY });
  }
  document.getElementById(focus)?.focus();
}

function jump(id) {
  if (!id) return;
  const apps = session.apps ?? [];
  const m = /^([^/]+)\/(.+)$/.exec(id);
  if (m && apps.includes(m[1])) go(api.path`/dead-letters/${m[1]}/${m[2]}`);
  else jumpAmong(id, apps.length ? apps : ["default"]);
}

async function jumpAmong(id, apps) {
  for (const app of apps) {
    try {
      await api.get(api.path`/dead-letters/${app}/${id}`);
      return go(api.path`/dead-letters/${app}/${id}`);
    } catch (e) {
      if (e.status !== 404) break;
    }
  }
  return go("/dead-letters" + api.query({ text: id }));
}

// Counts that the server pushes

// A browser has few connections for a host, so only a page that is seen keeps one.
function listen() {
  stopEvents();
  stopEvents = () => {};
  if (!session || document.visibilityState === "hidden") return;
  stopEvents = api.events(["counts", "operations"], (name, data) => {
    if (name === "counts") {
      for (const a of data.apps ?? []) counts.set(a.app, a);
      drawCounts();
    }
    for (const [wanted, f] of current.listeners) if (wanted === name) f(data);
  });
}

document.addEventListener("visibilitychange", listen);
addEventListener("pagehide", () => stopEvents());
addEventListener("pageshow", (e) => e.persisted && listen());

function drawCounts() {
  const all = [...counts.values()];
  const dead = all.reduce((n, a) => n + (a.dead || 0), 0);
  const held = all.filter((a) => a.held).length;
  badge("dead-letters", dead, t("badge.dead", { n: number(dead) }));
  badge("holds", held, t("badge.held", { n: number(held) }));
}

function badge(page, n, says) {
  const el = badges[page];
  if (!el) return;
  el.hidden = !n;
  el.replaceChildren(h("span", { "aria-hidden": "true" }, n > 9999 ? new Intl.NumberFormat("en", { notation: "compact" }).format(n) : number(n)), h("span.hide", {}, says));
}

// Keys

let pressed = "";
document.addEventListener("keydown", (e) => {
  if (!session || e.ctrlKey || e.metaKey || e.altKey || localStorageGet("emq.keys") === "off") return;
  if (e.target.closest?.("input, textarea, select, dialog, [contenteditable]")) {
    return;
  }
  const key = e.key.toLowerCase();
  if (pressed === "g") {
    pressed = "";
    const p = pages.find((x) => x.key === key);
    if (p) {
      e.preventDefault();
      go(`/${p.path}${p.start ?? ""}`);
    }
    return;
  }
  if (e.key === "g") {
    pressed = "g";
    setTimeout(() => { pressed = ""; }, 1200);
  } else if (e.key === "?") {
    e.preventDefault();
    help();
  } else if (e.key === "/") {
    e.preventDefault();
    (main.querySelector(".filters input, .filters select") ?? shell.querySelector(".jump input"))?.focus();
  } else if (key === "j" || key === "k") {
    step(key === "j" ? 1 : -1);
  } else if (key === "x") {
    const box = document.activeElement?.closest?.("[data-row]")?.querySelector("input[type=checkbox]");
    box?.click();
  } else if (key === "e" || key === "r") {
    main.querySelector(`[data-key="${key}"]`)?.click();
  }
});

function step(by) {
  const rows = [...main.querySelectorAll("[data-row]")];
  if (!rows.length) return;
  const at = rows.indexOf(document.activeElement?.closest?.("[data-row]"));
  const row = rows[at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + by))];
  (row.querySelector("[data-open]") ?? row.querySelector("a, button"))?.focus();
  row.scrollIntoView({ block: "nearest" });
}

function help() {
  const id = newID("keys");
  const row = (keys, text) => h("div", {}, h("dt", {}, keys.split(" ").map((k) => [h("kbd", {}, k), " "])), h("dd", {}, text));
  const off = h("input", { type: "checkbox", checked: localStorageGet("emq.keys") !== "off", onchange: () => {
    try {
      localStorage.setItem("emq.keys", off.checked ? "on" : "off");
    } catch { /* a browser that keeps nothing */ }
  } });
  const box = h("dialog", { "aria-labelledby": id, onclose: () => box.remove() },
    h("h2", { id }, t("keys")),
    h("dl.keys", {}, pages.map((p) => row(`g ${p.key}`, t(p.name))), row("/", t("keys.filter")), row("j k", t("keys.rows")), row("x", t("keys.select")), row("e", t("keys.edit")), row("r", t("keys.resend")), row("?", t("keys"))),
    h("label.check", {}, off, t("keys.on")),
    h("div.actions", {}, button(t("close"), () => box.close())));
  document.body.append(box);
  box.showModal();
}

function localStorageGet(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

// Who is there

function loginPage(error) {
  session = null;
  stopEvents();
  current.abort.abort();
  current.timers?.forEach(clearInterval);
  for (const box of document.querySelectorAll("dialog")) box.remove();
  const token = h("input", { name: "token", type: "password", required: true, autocomplete: "current-password", spellcheck: "false" });
  const errors = h("div", { "aria-live": "assertive" }, error && problem(error));
  const send = h("button.primary", { type: "submit" }, t("sign_in"));
  main = h("main.login", { id: "main", tabindex: "-1" },
    h("form", { onsubmit: async (e) => {
      e.preventDefault();
      send.disabled = true;
      errors.replaceChildren();
      try {
        await api.login(token.value.trim());
        session = await api.session();
        frame();
        listen();
        await show();
      } catch (err) {
        session = null;
        errors.replaceChildren(err.status === 401 || err.status === 403 ? notice("bad", h("strong", {}, t("sign_in.refused"))) : problem(err));
        send.disabled = false;
        token.focus();
        token.select();
      }
    } },
    h("h1", {}, h("span.mark", { "aria-hidden": "true" }), "emq"),
    h("p.muted", {}, t("sign_in.text")),
    field(t("token"), token, { wide: true }), errors, h("div.actions", {}, send)),
    h("p.tools", {}, themeButton(), languageButton()));
  shell.classList.remove("open");
  shell.replaceChildren(main);
  document.title = t("sign_in") + " · emq";
  token.focus();
}

async function signOut() {
  try {
    await api.logout();
  } catch (e) {
    if (e.status !== 401) {
      announce(problem(e), "bad");
      return;
    }
  }
  loginPage();
}

async function start() {
  try {
    session = await api.session();
  } catch (e) {
    if (e.status === 401) return loginPage();
    if (!(e instanceof api.Problem)) console.error(e);
    main = h("main.login", { id: "main", tabindex: "-1" }, h("h1", {}, "emq"), problem(e), button(t("retry"), start));
    shell.replaceChildren(main);
    return undefined;
  }
  frame();
  listen();
  return show();
}

api.whenLoggedOut(() => session && loginPage());
setTheme(localStorageGet("emq.theme") ?? "auto");
setLang(lang());
setInterval(() => tick(), 20000);
start();
