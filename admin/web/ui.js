// Pieces of pages. All text goes in as text nodes; nothing here reads markup.

import { plain, split } from "/jsontext.js";
import { lang, t, word } from "/i18n.js";

const svgNS = "http://www.w3.org/2000/svg";
const properties = new Set(["value", "checked", "disabled", "hidden", "open", "selected", "indeterminate", "required", "readOnly", "htmlFor"]);

let ids = 0;
export const newID = (stem = "id") => `${stem}-${++ids}`;

// h makes an element: h("td.num", {title: "x"}, child, …). A child is a node, a
// text, a list of children, or nothing. Names that begin with "on" are listeners.
export function h(name, props = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const el = document.createElement(tag);
  if (classes.length) el.className = classes.join(" ");
  for (const [key, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on") && typeof value === "function") el.addEventListener(key.slice(2), value);
    else if (properties.has(key)) el[key] = value;
    else if (key === "href") el.setAttribute("href", safeHref(value));
    else el.setAttribute(key, value === true ? "" : value);
  }
  add(el, children);
  return el;
}

export function add(el, children) {
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false || child === "") continue;
    el.append(child instanceof Node ? child : String(child));
  }
  return el;
}

// safeHref lets through paths of this page and plain web addresses.
function safeHref(url) {
  url = String(url);
  if (/^\/(?![/\\])/.test(url) || url.startsWith("#") || /^https?:\/\//i.test(url)) return url;
  return "#";
}

// say shows a text of the server's: isolated from the direction of what is around
// it, with the characters that can't be seen written out.
export function say(text, cls = "") {
  const el = h("bdi", { class: cls || undefined });
  for (const part of split(String(text ?? ""))) {
    el.append(part.unseen ? h("span.unseen", { title: t("unseen") }, part.text) : part.text);
  }
  return el;
}

export const code = (text) => say(text, "mono");

// brief is the beginning of a text, for a list.
export function brief(text, most = 90) {
  const letters = Array.from(String(text ?? "").slice(0, most * 4));
  return letters.length > most ? letters.slice(0, most).join("") + "…" : text;
}

// tr is a translated sentence with nodes in it: tr("by", {who: say(name)}).
export function tr(key, params = {}) {
  const out = document.createDocumentFragment();
  for (const part of t(key, { n: params.n }).split(/(\{[a-z]+\})/)) {
    const m = /^\{([a-z]+)\}$/.exec(part);
    const value = m && params[m[1]];
    if (m && value !== undefined) out.append(value instanceof Node ? value : say(value));
    else out.append(part);
  }
  return out;
}

// both is a text that the server has in two languages.
export function both(text) {
  if (!text) return null;
  if (typeof text === "string") return say(text);
  const other = lang() === "zh" ? "en" : "zh";
  const mine = text[lang()];
  const el = h("bdi", {}, (mine || text[other] || "").split("`").map((part, i) => (i % 2 ? h("code", {}, plain(part)) : split(part).map((x) => (x.unseen ? h("span.unseen", {}, x.text) : x.text)))));
  if (!mine && text[other]) el.lang = other === "zh" ? "zh-CN" : "en";
  return el;
}

// Numbers and times

export const number = (n) => (Number.isFinite(n) ? new Intl.NumberFormat(locale()).format(n) : "–");
export const short = (n) => (Number.isFinite(n) ? new Intl.NumberFormat(locale(), { notation: n >= 100000 ? "compact" : "standard", maximumFractionDigits: 1 }).format(n) : "–");
const locale = () => (lang() === "zh" ? "zh-CN" : "en");

const spans = [["year", 31536000], ["month", 2592000], ["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

function relative(date) {
  const seconds = (date - Date.now()) / 1000;
  if (Math.abs(seconds) < 5) return t("now");
  const [unit, span] = spans.find(([, s]) => Math.abs(seconds) >= s) ?? spans.at(-1);
  return new Intl.RelativeTimeFormat(locale(), { numeric: "always", style: "short" }).format(Math.trunc(seconds / span), unit);
}

const valid = (date) => !Number.isNaN(date.getTime()) && date.getUTCFullYear() > 1;
export const absolute = (date) => `${new Intl.DateTimeFormat(locale(), { dateStyle: "medium", timeStyle: "long" }).format(date)} (${date.toISOString()})`;

// time shows when something was; exact shows the clock in place of how long ago.
export function time(value, { exact = false } = {}) {
  const date = new Date(value ?? NaN);
  if (!valid(date)) return h("span.muted", {}, "–");
  const shown = exact ? new Intl.DateTimeFormat(locale(), { month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false }).format(date) : relative(date);
  return h("time", { datetime: date.toISOString(), title: absolute(date), "data-exact": exact }, shown);
}

// tick brings the relative times of a page up to date.
export function tick(root = document) {
  for (const el of root.querySelectorAll("time:not([data-exact])")) el.textContent = relative(new Date(el.dateTime));
}

// duration is a span of seconds in one or two units.
export function duration(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  if (seconds < 1) return t("ms", { n: Math.round(seconds * 1000) });
  const parts = [];
  for (const [unit, span] of [["d", 86400], ["h", 3600], ["m", 60], ["s", 1]]) {
    if (seconds >= span && parts.length < 2) {
      parts.push(t("span." + unit, { n: Math.floor(seconds / span) }));
      seconds %= span;
    } else if (parts.length) break;
  }
  return parts.join(" ").replaceAll(" ", "\u00a0");
}

// Small things

const tones = {
  success: "good", retryable: "warn", permanent: "bad", "needs-human": "ask",
  dead: "bad", resending: "warn", resolved: "good", discarded: "dim",
  open: "bad", acknowledged: "ask", ignored: "dim",
  frozen: "dim", running: "ask", waiting: "ask", done: "good", cancelled: "dim",
  critical: "bad", warning: "warn", new: "bad", changed: "bad", reminder: "warn", paused: "warn", held: "bad",
};

export const pill = (kind, value, title) => (value ? h(`span.pill.${tones[value] ?? "dim"}`, { title }, known(kind, value)) : null);

// known is a word of emq's in the reader's language; one that the page does not
// know is shown as it came.
export function known(kind, value) {
  const w = word(kind, value);
  return w === undefined ? say(value) : w;
}

export const link = (href, ...children) => h("a", { href }, ...children);

export function button(label, onclick, { tone = "", ...props } = {}) {
  return h("button", { type: "button", class: tone || undefined, onclick, ...props }, label);
}

export function notice(tone, ...children) {
  return h(`div.notice.${tone}`, { role: tone === "bad" ? "alert" : undefined }, ...children);
}

export function problem(error) {
  const known = { 0: "error.network", 401: "error.401", 403: "error.403", 404: "error.404", 409: "error.409", 429: "error.429", 503: "error.503", 504: "error.504" };
  const title = known[error.status] ? t(known[error.status]) : t("error.other");
  return notice("bad", h("strong", {}, title), error.detail && h("div", {}, say(error.detail)),
    error.errors?.length > 0 && h("ul", {}, error.errors.map((e) => h("li", {}, e.location && [code(e.location), " "], say(e.message)))));
}

export const empty = (...children) => h("p.empty", {}, ...children);

export function facts(pairs) {
  return h("dl.facts", {}, pairs.filter(([, v]) => v !== null && v !== undefined && v !== "" && v !== false).map(([k, v]) => h("div", {}, h("dt", {}, k), h("dd", {}, v))));
}

export function card(title, ...children) {
  const id = newID("card");
  return h("section.card", { "aria-labelledby": title ? id : undefined }, title && h("h2", { id }, title), ...children);
}

// field is a labelled control. hint is told together with the label.
export function field(label, control, { hint, wide } = {}) {
  control.id ||= newID("f");
  const about = hint && h("small", { id: newID("hint") }, hint);
  if (about) control.setAttribute("aria-describedby", about.id);
  return h(wide ? "div.field.wide" : "div.field", {}, h("label", { htmlFor: control.id }, label), control, about);
}

export function select(name, options, value, props = {}) {
  return h("select", { name, ...props }, options.map(([v, label]) => h("option", { value: v, selected: v === (value ?? "") }, label)));
}

// table makes a table; on a narrow screen each row becomes a block whose cells
// carry the names of their columns. columns: [{label, cls}]; a row: {cells, cls}.
export function table(caption, columns, rows) {
  return h("div.scroll", {},
    h("table", { role: "table" },
      h("caption.hide", {}, caption),
      h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, columns.map((c) => h("th", { scope: "col", role: "columnheader", class: c.cls }, c.hide ? h("span.hide", {}, c.label) : c.label)))),
      h("tbody", { role: "rowgroup" }, rows.map((r) => h("tr", { role: "row", class: r.cls, "data-row": true },
        r.cells.map((cell, i) => h("td", { role: "cell", class: columns[i].cls, "data-label": columns[i].hide ? "" : columns[i].text ?? (typeof columns[i].label === "string" ? columns[i].label : "") }, cell)))))));
}

// Charts

function svg(tag, attributes, ...children) {
  const el = document.createElementNS(svgNS, tag);
  for (const [k, v] of Object.entries(attributes)) el.setAttribute(k, v);
  el.append(...children);
  return el;
}

// bars draws a series as small bars; what it says goes to screen readers.
export function bars(series, says, tone = "plain") {
  const values = (Array.isArray(series) ? series : []).map((v) => (Number.isFinite(v) ? v : 0));
  const top = Math.max(1, ...values);
  const title = svg("title", {});
  title.textContent = says;
  const step = 6;
  const chart = svg("svg", { class: `bars ${tone}`, viewBox: `0 0 ${Math.max(1, values.length) * step} 24`, preserveAspectRatio: "none", role: "img", "aria-label": says }, title);
  values.forEach((v, i) => {
    const height = v > 0 ? Math.max(1.5, (v / top) * 23) : 0.75;
    chart.append(svg("rect", { x: i * step + 0.5, y: 24 - height, width: step - 1.5, height, class: v > 0 ? "" : "none" }));
  });
  return chart;
}

export function meter(done, total, says) {
  const el = h("progress", { max: Math.max(1, total), value: Math.min(done, total), "aria-label": says });
  return el;
}

// Said to all, and to screen readers

let toastTimer;
export function announce(message, tone = "") {
  const box = document.getElementById("toasts");
  clearTimeout(toastTimer);
  box.replaceChildren(h(`div.toast${tone && "." + tone}`, {}, message));
  toastTimer = setTimeout(() => box.replaceChildren(), 7000);
}

// dialog shows a question. submit(data) may throw a Problem, which is shown in
// place; what it returns is what dialog resolves to. null: the person went back.
export function dialog({ title, body, confirm, danger = false, submit, opened, wide = false, ready = true }) {
  return new Promise((resolve) => {
    const id = newID("dialog");
    const errors = h("div.errors", { "aria-live": "assertive" });
    const yes = h("button", { type: "submit", class: danger ? "danger" : "primary", disabled: !ready }, confirm);
    let result = null;
    let stopped = false;
    const form = h("form", {
      onsubmit: async (e) => {
        e.preventDefault();
        yes.disabled = true;
        errors.replaceChildren();
        try {
          const got = await submit(new FormData(form), box);
          if (got === false) { // one more press is needed
            yes.disabled = false;
            return;
          }
          result = got ?? true;
          if (!stopped) box.close();
        } catch (error) {
          if (error.name !== "Problem") console.error(error);
          errors.replaceChildren(problem(error));
          yes.disabled = false;
        }
      },
    }, h("h2", { id }, title), body, errors,
    h("div.actions", {}, button(t("cancel"), () => box.close()), yes));
    const box = h("dialog", { "aria-labelledby": id, class: wide ? "wide" : undefined, onclose: () => { stopped = true; box.remove(); resolve(result); } }, form);
    document.body.append(box);
    box.showModal();
    form.querySelector("[data-first]")?.focus();
    opened?.(box, yes);
  });
}

// reason is the field that says why.
export function reason({ required = true, label } = {}) {
  return field(label ?? (required ? t("reason") : t("reason.optional")), h("input", { name: "reason", required, maxlength: 500, autocomplete: "off", "data-first": true }), { hint: t("reason.hint"), wide: true });
}

// copy puts a text on the clipboard.
export function copy(text, label = t("copy")) {
  return button(label, async () => {
    try {
      await navigator.clipboard.writeText(text);
      announce(t("copied"));
    } catch {
      announce(t("copy.failed"), "bad");
    }
  }, { tone: "small" });
}

// about says in few words what a payload is about.
export function about(payload) {
  if (!payload || typeof payload !== "object") return null;
  const list = (v) => (Array.isArray(v) ? v : v ? [v] : []).map((x) => (x && typeof x === "object" ? x.username : x)).filter((x) => x !== undefined);
  const names = list(payload.to ?? payload.usernames ?? payload.users ?? payload.username ?? payload.newadmin ?? payload.oldadmin ?? payload.newowner);
  const place = payload.group_id ?? payload.chatroom_id;
  const parts = [];
  if (payload.method && payload.path) parts.push(code(brief(`${payload.method} ${payload.path}`)));
  if (payload.msg_id) parts.push(code(payload.msg_id));
  if (place) parts.push(code(place));
  if (names.length) {
    parts.push([code(brief(names.slice(0, 2).join(", "))), names.length > 2 && " " + t("more", { n: names.length - 2 })]);
  }
  if (!parts.length && (payload.groupname ?? payload.name)) parts.push(say(brief(payload.groupname ?? payload.name)));
  return parts.map((p, i) => [i > 0 && " · ", p]);
}

// words is the text that a message carries, if any.
export function words(payload) {
  const body = payload?.body ?? payload?.msg;
  const text = typeof body?.msg === "string" ? body.msg : typeof payload?.announcement === "string" ? payload.announcement : "";
  return brief(text, 160);
}

export { plain };
