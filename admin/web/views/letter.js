// One dead letter: what was to be done, what happened, and what can be done now.

import { Action, path, query } from "/api.js";
import { t } from "/i18n.js";
import { inside, lineAt, locate, part, scan } from "/jsontext.js";
import { about, announce, both, button, card, code, copy, dialog, duration, facts, field, h, known, link, newID, notice, number, pill, problem, reason, say, time, words } from "/ui.js";

const hidden = "[hidden]"; // how the server shows a secret

export async function letter(ctx) {
  const { value: e, text } = await ctx.get(path`/dead-letters/${ctx.app}/${ctx.id}`, { raw: true });
  const payload = pretty(part(text, "payload") ?? "null");
  const at = path`/dead-letters/${e.app ?? ctx.app}/${e.id ?? ctx.id}`;
  const operate = ctx.can("operate");
  const dead = e.state === "dead";
  const unknown = e.reason === "unknown-outcome" || (e.unknown?.length ?? 0) > 0;
  const editable = operate && dead && !ctx.session.masked && e.kind && e.reason !== "undecodable";
  const place = h("div", { id: "editor" });
  const edit = () => editor(ctx, e, at, payload, place);
  if (e.state === "resending") ctx.every(4, ctx.reload);

  const actions = operate && h("div.actions.start", {},
    dead && unknown && button(t("resolve"), () => resolve(ctx, e, at), { tone: "primary" }),
    dead && button(t("resend"), () => one(ctx, e, at, "resend", unknown), { tone: unknown ? "" : "primary", "data-key": "r" }),
    editable && button(t("edit"), edit, { "data-key": "e" }),
    dead && button(t("discard"), () => one(ctx, e, at, "discard"), { tone: "danger quiet" }),
    e.state === "discarded" && button(t("restore"), () => one(ctx, e, at, "restore"), { tone: "primary" }));
  const text160 = words(e.payload);
  return {
    title: e.id ?? ctx.id,
    body: [
      h("p.crumbs", {}, link("/dead-letters" + query({ app: e.app, state: "dead" }), t("nav.letters")), " / ", code(e.app), e.cause && [" / ", link(path`/causes/${e.app}/${e.cause}`, code(e.cause))]),
      h("div.head", {}, h("h1", {}, code(e.id)), pill("state", e.state), e.state !== "dead" && h("span.muted", {}, time(e.changed_at))),
      actions,
      dead && unknown && notice("ask", h("strong", {}, t("unknown.title")), " ", t("unknown.text"), e.unknown?.length > 0 && h("div", {}, t("unknown.some"), " ", code(e.unknown.slice(0, 20).join(", ")), e.unknown.length > 20 && " " + t("more", { n: e.unknown.length - 20 }))),
      place,
      h("div.columns", {},
        card(t("todo"), h("p.lead", {}, known("kind", e.kind) ?? t("undecodable")), about(e.payload) && h("p", {}, about(e.payload)), text160 && h("blockquote", {}, say(text160)),
          facts([[t("f.kind"), code(e.kind)], [t("queue"), code(e.queue)], [t("enqueued"), time(e.enqueued_at)], [t("first_failed"), time(e.first_failed_at)], [t("last_failed"), time(e.last_failed_at)], [t("generation"), number(e.generation ?? 0)]])),
        card(t("why"), h("p", {}, e.status > 0 && [h("b", {}, String(e.status)), " "], e.error && code(e.error), e.description && [" ", say(e.description)]),
          h("p", {}, both(e.why)), h("p.advice.big", {}, both(e.advice)),
          facts([[t("f.class"), pill("class", e.class)], [t("reason.ended"), known("reason", e.reason)], [t("rule"), e.rule && link("/rules" + query({ q: e.rule }), code(e.rule))], [t("scope"), known("scope", e.scope)]]))),
      card(t("payload"), ctx.session.masked && h("p.muted", {}, t("masked.text")), payload.includes(hidden) && h("p.muted", {}, t("hidden.text")),
        h("div.actions.start", {}, copy(payload)), h("pre.json", { tabindex: "0", role: "group", "aria-label": t("payload"), dir: "ltr" }, payload)),
      card(t("timeline"), timeline(e, text)),
    ],
  };
}

function pretty(text) {
  try {
    return scan(text).pretty;
  } catch {
    return text;
  }
}

// timeline puts attempts and events in one order, a heading for each generation.
function timeline(e, text) {
  const attempts = (Array.isArray(e.attempts) ? e.attempts : []).map((a) => ({ at: a.at, attempt: a }));
  const events = (Array.isArray(e.events) ? e.events : []).map((ev, i) => ({ at: ev.at, event: ev, i }));
  const order = (x) => (x.attempt ? 0 : 1);
  const all = [...attempts, ...events].sort((a, b) => new Date(a.at) - new Date(b.at) || order(a) - order(b));
  const list = h("ol.timeline", {});
  if (e.enqueued_at) list.append(h("li.start", {}, h("span.when", {}, time(e.enqueued_at, { exact: true })), h("span", {}, t("enqueued"))));
  if (e.attempts_left_out || e.events_left_out) list.append(h("li.start.muted", {}, h("span.when", {}), h("span", {}, t("left_out", { n: (e.attempts_left_out ?? 0) + (e.events_left_out ?? 0) }))));
  let generation;
  for (let i = 0; i < all.length; i++) {
    const x = all[i];
    if (x.attempt) {
      const g = x.attempt.generation ?? 0;
      if (g !== generation) {
        generation = g;
        list.append(h("li.generation", {}, g ? t("generation.n", { n: g }) : t("generation.first")));
      }
      // A run of equal answers is folded but for its first and its last.
      let end = i;
      while (end + 1 < all.length && all[end + 1].attempt && alike(x.attempt, all[end + 1].attempt)) end++;
      if (end - i >= 3) {
        list.append(attemptRow(x.attempt));
        const folded = h("li.folded", {});
        folded.append(h("details", {}, h("summary", {}, t("same.n", { n: end - i - 1 })), h("ol.timeline.inner", {}, all.slice(i + 1, end).map((y) => attemptRow(y.attempt)))));
        list.append(folded, attemptRow(all[end].attempt));
      } else {
        for (let j = i; j <= end; j++) list.append(attemptRow(all[j].attempt));
      }
      i = end;
    } else {
      list.append(eventRow(e, x, text));
    }
  }
  return list;
}

const alike = (a, b) => a.generation === b.generation && a.rule === b.rule && a.status === b.status && a.error === b.error && a.transport === b.transport && a.description === b.description;

function attemptRow(a) {
  return h(`li.attempt.${a.class === "success" ? "good" : "bad"}`, {},
    h("span.when", {}, time(a.at, { exact: true })),
    h("div", {},
      h("div", {}, t("attempt.n", { n: a.number }), " · ", a.status > 0 ? h("b", {}, String(a.status)) : known("transport", a.transport || "none"), a.error && [" ", code(a.error)], " ", pill("class", a.class), a.counted === false && [" ", h("span.muted", { title: t("uncounted.text") }, t("uncounted"))]),
      a.description && h("div", {}, say(a.description)),
      h("div.muted", {}, a.rule && [t("rule"), " ", link("/rules" + query({ q: a.rule }), code(a.rule)), " · "], duration((a.latency_ms ?? 0) / 1000), a.worker && [" · ", code(a.worker)], a.targets > 1 && [" · ", t("targets", { n: number(a.targets), failed: number(a.failed ?? 0) })], a.mended && [" · ", known("mended", a.mended)]),
      a.body && h("details", {}, h("summary", {}, t("answer.body")), h("pre", { tabindex: "0", role: "group", "aria-label": t("answer.body"), dir: "ltr" }, say(a.body)))));
}

function eventRow(e, x, text) {
  const ev = x.event;
  let before;
  try {
    before = ev.before !== undefined && part(text, `events[${x.i}].before`);
  } catch {
    before = null;
  }
  return h("li.event", {},
    h("span.when", {}, time(ev.at, { exact: true })),
    h("div", {},
      h("div", {}, h("b", {}, known("event", ev.action)), ev.by && [" · ", say(ev.by)], ev.op && [" · ", link(path`/operations/${e.app}/${ev.op}`, t("operation"))]),
      ev.note && h("div", {}, say(ev.note)),
      before && h("details", {}, h("summary", {}, t("before")), h("pre.json", { tabindex: "0", role: "group", "aria-label": t("before"), dir: "ltr" }, pretty(before)))));
}

async function one(ctx, e, at, action, unknown) {
  const act = new Action();
  const ok = await dialog({
    title: t(`${action}.title`), confirm: t(action), danger: action === "discard",
    body: [h("p", {}, code(e.id)), unknown && action === "resend" && notice("ask", t("resend.unknown")), h("p.muted", {}, t(`${action}.text`)), reason({ required: false })],
    submit: (data) => act.send("POST", `${at}/${action}`, { reason: data.get("reason").trim() || undefined }),
  });
  if (!ok) return;
  announce(t(`${action}.done`), "good");
  await ctx.reload();
}

async function resolve(ctx, e, at) {
  const act = new Action();
  const option = (value, label, text) => h("label.option", {}, h("input", { type: "radio", name: "outcome", value, required: true }), h("span", {}, h("b", {}, label), h("small", {}, text)));
  const ok = await dialog({
    title: t("resolve.title"), confirm: t("resolve"),
    body: [h("p", {}, t("resolve.text")), h("fieldset", {}, h("legend", {}, t("resolve.ask")), option("sent", t("resolve.sent"), e.unknown?.length ? t("resolve.sent.some") : t("resolve.sent.text")), option("not_sent", t("resolve.not_sent"), t("resolve.not_sent.text"))), reason()],
    submit: (data) => act.send("POST", `${at}/resolve`, { outcome: data.get("outcome"), reason: data.get("reason").trim() }),
  });
  if (!ok) return;
  announce(t("resolve.done"), "good");
  await ctx.reload();
}

// editor opens the payload for a change, above what is known of the letter.
function editor(ctx, e, at, payload, place) {
  if (place.firstChild) {
    place.querySelector("textarea").focus();
    return;
  }
  const act = new Action();
  const list = newID("errors");
  const area = h("textarea", { name: "payload", rows: Math.min(24, Math.max(8, payload.split("\n").length + 1)), spellcheck: "false", autocomplete: "off", wrap: "off", dir: "ltr", "aria-describedby": list });
  area.value = payload;
  const gutter = h("div.gutter", { "aria-hidden": "true" });
  const errors = h("div.errors", { id: list, "aria-live": "polite" });
  const why = h("input", { name: "reason", maxlength: 500, autocomplete: "off" });
  const buttons = [
    h("button.primary", { type: "submit", value: "resend" }, t("edit.resend")),
    h("button", { type: "submit", value: "save" }, t("edit.save")),
  ];
  let marked = new Map();

  function numbers() {
    const n = area.value.split("\n").length;
    gutter.replaceChildren(...Array.from({ length: n }, (_, i) => h(marked.has(i + 1) ? "span.bad" : "span", { title: marked.get(i + 1) }, String(i + 1))));
    gutter.scrollTop = area.scrollTop;
  }

  // show puts the errors beside the lines that they are about.
  function showErrors(found) {
    marked = new Map();
    const rows = found.map((f) => {
      const span = f.span ?? locate(area.value, f.location);
      const line = span && lineAt(area.value, span[0]);
      if (line) marked.set(line, f.message);
      return h("li", {}, line ? button(t("line", { n: line }), () => {
        area.focus();
        area.setSelectionRange(...span);
        area.scrollTop = Math.max(0, (line - 4) * parseFloat(getComputedStyle(area).lineHeight));
      }, { tone: "small" }) : null, " ", f.location && [code(inside(f.location) || t("payload")), ": "], say(f.message), f.value !== undefined && f.value !== null && [" (", code(typeof f.value === "string" ? f.value : JSON.stringify(f.value)), ")"]);
    });
    area.setAttribute("aria-invalid", String(found.length > 0));
    errors.replaceChildren(...(rows.length ? [notice("bad", h("strong", {}, t("edit.errors", { n: rows.length })), h("ul", {}, rows))] : []));
    numbers();
  }

  function syntax() {
    try {
      scan(area.value);
      return true;
    } catch (err) {
      const at = /position (\d+)/.exec(err.message);
      const span = at ? [Number(at[1]), Number(at[1]) + 1] : undefined;
      showErrors([{ message: err.message, location: "", span }]);
      return false;
    }
  }

  let timer;
  area.addEventListener("input", () => {
    numbers();
    clearTimeout(timer);
    timer = setTimeout(() => syntax() && showErrors([]), 500);
  });
  area.addEventListener("scroll", () => { gutter.scrollTop = area.scrollTop; });

  const form = h("form.card.editor", {
    "aria-label": t("edit"),
    onsubmit: async (ev) => {
      ev.preventDefault();
      clearTimeout(timer);
      if (!syntax()) {
        area.focus();
        return;
      }
      const resend = ev.submitter?.value !== "save";
      for (const b of buttons) b.disabled = true;
      try {
        // The text itself goes, so that no number of it changes.
        const rest = JSON.stringify({ resend, reason: why.value.trim() || undefined });
        await act.send("POST", `${at}/edit`, `{"payload":${area.value.trim()},${rest.slice(1)}`);
        announce(t(resend ? "edit.resent" : "edit.saved"), "good");
        place.replaceChildren();
        await ctx.reload();
      } catch (error) {
        for (const b of buttons) b.disabled = false;
        if (error.errors?.length) {
          showErrors(error.errors);
          errors.querySelector("button")?.click();
        } else {
          errors.replaceChildren(problem(error));
        }
      }
    },
    onkeydown: (ev) => {
      if (ev.key === "Enter" && (ev.ctrlKey || ev.metaKey)) {
        ev.preventDefault();
        form.requestSubmit(buttons[0]);
      }
    },
  },
  h("h2", {}, t("edit.title")), h("p.muted", {}, t("edit.text"), payload.includes(hidden) && [" ", t("edit.hidden")]),
  h("div.field.wide", {}, h("label", { htmlFor: area.id = newID("payload") }, t("payload")), h("div.code", {}, gutter, area)),
  errors,
  field(t("reason.optional"), why, { hint: t("reason.hint"), wide: true }),
  h("div.actions", {}, button(t("cancel"), async () => {
    if (area.value !== payload && !(await dialog({ title: t("edit.leave"), confirm: t("edit.drop"), danger: true, body: h("p", {}, t("edit.leave.text")), submit: () => true }))) return;
    place.replaceChildren();
    document.querySelector('[data-key="e"]')?.focus();
  }), buttons[1], buttons[0]));
  place.replaceChildren(form);
  numbers();
  area.focus();
  area.setSelectionRange(0, 0);
  form.scrollIntoView({ block: "nearest" });
}

