// Calls of the HTTP API below /api/v1.

const base = "/api/v1";
let csrf = "";

// A Problem is an error that the server told of (RFC 9457), or that kept it from
// answering: status is 0 then.
export class Problem extends Error {
  constructor(status, { title = "", detail = "", errors, field } = {}) {
    super(detail || title || `HTTP ${status}`);
    this.name = "Problem";
    this.status = status;
    this.title = title;
    this.detail = detail;
    this.errors = Array.isArray(errors) ? errors : field ? [{ location: field, message: detail }] : [];
  }
}

// path is a template tag: each value becomes one segment.
export function path(strings, ...values) {
  return strings.reduce((out, s, i) => out + s + (i < values.length ? encodeURIComponent(values[i]) : ""), "");
}

// query writes what is not empty.
export function query(fields) {
  const q = new URLSearchParams();
  for (const [name, value] of Object.entries(fields)) {
    if (value !== undefined && value !== null && value !== "") q.set(name, value);
  }
  const text = q.toString();
  return text && "?" + text;
}

// uuid works also where the page is served without TLS.
function uuid() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const b = crypto.getRandomValues(new Uint8Array(16));
  b[6] = (b[6] & 0x0f) | 0x40;
  b[8] = (b[8] & 0x3f) | 0x80;
  const hex = Array.from(b, (x) => x.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

// An Action is one thing that a person does. A repeat of it whose first answer was
// lost carries the same key, so that it is done once; another body or an answer
// that was understood makes another one.
export class Action {
  #keys = new Map();

  async send(method, where, body, options = {}) {
    const text = typeof body === "string" ? body : body === undefined ? "" : JSON.stringify(body);
    const same = `${method} ${where} ${text}`;
    if (!this.#keys.has(same)) this.#keys.set(same, uuid());
    try {
      const answer = await call(method, where, { ...options, text, key: this.#keys.get(same) });
      this.#keys.delete(same);
      return answer;
    } catch (e) {
      if (e instanceof Problem && e.status >= 400 && e.status < 500) this.#keys.delete(same);
      throw e;
    }
  }
}

// onLogin is called when the server no longer knows who asks.
let onLogin = () => {};
export const whenLoggedOut = (f) => { onLogin = f; };

async function call(method, where, { signal, text = "", type = "application/json", key, raw = false, blob = false } = {}) {
  const headers = { Accept: "application/json" };
  if (method !== "GET") {
    headers["X-CSRF-Token"] = csrf;
    if (key) headers["Idempotency-Key"] = key;
    if (text) headers["Content-Type"] = type;
  }
  let response;
  let body;
  try {
    response = await fetch(base + where, {
      method, headers, signal, body: text || undefined, credentials: "same-origin", cache: "no-store", redirect: "error",
    });
    if (blob && response.ok) return await response.blob();
    body = await response.text();
  } catch (e) {
    if (e.name === "AbortError") throw e;
    throw new Problem(0, { title: "no answer" });
  }
  let value = null;
  try {
    value = body ? JSON.parse(body) : null;
  } catch {
    if (response.ok) throw new Problem(0, { title: "not JSON" });
  }
  if (!response.ok) {
    if (response.status === 401 && where !== "/session") onLogin();
    throw new Problem(response.status, value && typeof value === "object" ? value : {});
  }
  return raw ? { value, text: body } : value;
}

export const get = (where, options) => call("GET", where, options);

// download has a file made and hands it to the browser.
export async function download(where, body, name) {
  const url = URL.createObjectURL(await call("POST", where, { text: JSON.stringify(body), blob: true }));
  const a = document.createElement("a");
  a.href = url;
  a.download = name;
  a.click();
  setTimeout(() => URL.revokeObjectURL(url), 60000);
}

// upload sends lines of JSON, a text or a file.
export const upload = (where, lines) => call("POST", where, { text: lines, type: "application/jsonl" });

// list reads a page: {items, next}.
export async function list(where, options) {
  const page = await get(where, options);
  return { items: Array.isArray(page?.items) ? page.items : [], next: page?.next_cursor || "" };
}

export async function session() {
  const s = await get("/session");
  csrf = s?.csrf ?? "";
  return s ?? {};
}

export async function login(token) {
  const s = await call("POST", "/session", { text: JSON.stringify({ token }), key: uuid() });
  csrf = s?.csrf ?? csrf;
}

export const logout = () => new Action().send("DELETE", "/session");

// events listens to the server's events and passes their data on; it returns a
// function that ends it.
export function events(names, handle) {
  const source = new EventSource(base + "/events");
  for (const name of names) {
    source.addEventListener(name, (e) => {
      let data;
      try {
        data = JSON.parse(e.data);
      } catch {
        return;
      }
      handle(name, data);
    });
  }
  return () => source.close();
}
