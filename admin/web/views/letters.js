// The dead letters: found by filters that the address keeps.

import { download, path, query, upload } from "/api.js";
import { t } from "/i18n.js";
import { about, announce, brief, button, code, dialog, empty, field, h, known, link, newID, number, pill, reason, say, select, short, table, time, tr, words } from "/ui.js";
import { bulk, each } from "/views/bulk.js";

export const filterNames = ["app", "state", "class", "since", "text", "kind", "error", "status", "cause", "target", "until"];
const first = ["app", "state", "class", "since", "text"];
const limit = 50;
const kinds = ["message.send", "message.recall", "message.broadcast",
  ...["group", "chatroom"].flatMap((g) => ["create", "update", "delete", "transfer_owner", "add_members", "remove_members", "add_admin", "remove_admin", "mute_members", "unmute_members", "mute_all", "unmute_all", "block_members", "unblock_members", "allow_members", "disallow_members", "set_announcement"].map((a) => `${g}.${a}`)),
  ...["register", "delete", "reset_password", "set_nickname", "deactivate", "activate", "force_offline", "add_contact", "remove_contact", "block", "unblock", "mute", "set_attributes"].map((a) => `user.${a}`), "call.raw"];

export const kindList = () => kinds;

// filterBar is the form of a filter. Each change of it is a new address.
export function filterBar(ctx, page, names, { keep = [] } = {}) {
  const q = ctx.query;
  const value = (n) => q.get(n) ?? "";
  const lists = {};
  const offer = (name, values) => {
    const id = newID("list");
    lists[name] = h("datalist", { id }, values.map((v) => h("option", { value: v })));
    return id;
  };
  const control = (name) => {
    switch (name) {
      case "app": return select(name, [["", t("any")], ...known2(ctx.session.apps, value(name))], value(name));
      case "state": return select(name, [["", t("any")], ...["dead", "resending", "resolved", "discarded"].map((s) => [s, known("state", s)])], value(name));
      case "class": return select(name, [["", t("any")], ...["retryable", "permanent", "needs-human"].map((s) => [s, known("class", s)])], value(name));
      case "kind": return h("input", { name, value: value(name), list: offer(name, kinds), autocomplete: "off", spellcheck: "false" });
      case "since": case "until": return h("input", { name, value: value(name), list: offer(name, ["15m", "1h", "12h", "1d", "7d"]), placeholder: "1h, 7d, 2026-03-01", autocomplete: "off", spellcheck: "false", class: "short" });
      case "error": case "cause": {
        const el = h("input", { name, value: value(name), list: offer(name, []), autocomplete: "off", spellcheck: "false" });
        el.addEventListener("focus", () => complete(ctx, name, lists[name], value("app")), { once: true });
        return el;
      }
      case "status": return h("input", { name, value: value(name), inputmode: "numeric", maxlength: 3, autocomplete: "off", class: "short", list: offer(name, ["400", "401", "403", "404", "413", "429", "500", "503"]) });
      case "text": return h("input", { name, type: "search", value: value(name), autocomplete: "off", spellcheck: "false" });
      default: return h("input", { name, value: value(name), autocomplete: "off", spellcheck: "false" });
    }
  };
  const shown = names.filter((n) => first.includes(n) || names.length <= 5);
  const more = names.filter((n) => !shown.includes(n));
  const set = more.filter((n) => value(n)).length;
  const apply = (focus) => {
    const data = new FormData(form);
    const fields = Object.fromEntries(names.map((n) => [n, (data.get(n) ?? "").trim()]));
    for (const k of keep) fields[k] = q.get(k) ?? "";
    const where = page + query(fields);
    if (where === location.pathname + location.search) return;
    ctx.keepFocus(focus);
    ctx.go(where);
  };
  const form = h("form.filters", {
    role: "search", "aria-label": t("filters"),
    onsubmit: (e) => { e.preventDefault(); apply(document.activeElement?.name); },
    onchange: (e) => apply(e.target.name),
  },
  shown.map((n) => field(t("f." + n), control(n))),
  more.length > 0 && h("details", { open: set > 0 }, h("summary", {}, set ? t("filters.more.n", { n: set }) : t("filters.more")), h("div.filters.inner", {}, more.map((n) => field(t("f." + n), control(n))))),
  Object.values(lists),
  h("div.actions", {}, h("button.small", { type: "submit" }, t("apply")), names.some((n) => value(n)) && link(page + query(Object.fromEntries(keep.map((k) => [k, q.get(k) ?? ""]))), t("clear"))));
  return form;
}

const known2 = (apps, now) => [...new Set([...(apps ?? []), now].filter(Boolean))].map((a) => [a, a]);

// complete offers the errors and causes that there are.
async function complete(ctx, name, list, app) {
  try {
    const { items } = await ctx.list("/causes" + query({ app }));
    const values = new Set(items.map((c) => (name === "error" ? c.error : c.id)).filter(Boolean));
    list.replaceChildren(...[...values].slice(0, 200).map((v) => h("option", { value: v })));
  } catch { /* one can type without it */ }
}

export async function letters(ctx) {
  const q = ctx.query;
  const filter = Object.fromEntries(filterNames.map((n) => [n, q.get(n) ?? ""]).filter(([, v]) => v));
  const cursor = q.get("cursor") ?? "";
  const free = Boolean(filter.target || filter.text);
  const [page, total] = await Promise.all([collect(ctx, filter, cursor), free ? null : count(ctx, filter)]);
  const chosen = new Map();
  const bar = h("div.selection", { "aria-live": "polite" });
  const body = page.items.length ? letterTable(ctx, page.items, { chosen, changed: () => drawBar() }) : null;

  function drawBar() {
    const list = [...chosen.values()];
    const all = page.items.length > 0 && list.length === page.items.length;
    const actions = (run) => [...new Set(list.map((e) => e.state))].length === 1 && (list[0].state === "dead"
      ? [button(t("resend"), () => run("resend"), { tone: "primary small" }), button(t("discard"), () => run("discard"), { tone: "danger small" })]
      : list[0].state === "discarded" ? [button(t("restore"), () => run("restore"), { tone: "primary small" })] : null);
    bar.replaceChildren(...[
      h("span", {}, list.length ? t("selected", { n: number(list.length) }) : total !== null ? tr("matches", { n: total, count: h("b", {}, number(total)) }) : t("matches.unknown")),
      list.length > 0 && ctx.can("operate") && h("span.actions", {}, actions((action) => each(ctx, action, list))),
      all && page.more && ctx.can("operate") && h("span.muted", {}, t("selected.page")),
    ].filter(Boolean));
  }
  drawBar();

  const state = filter.state || "dead";
  const whole = ctx.can("operate") && page.items.length > 0 && h("span.actions", {}, state === "discarded"
    ? button(t("restore.matching"), () => bulk(ctx, "restore", filter))
    : state === "dead" ? [button(t("resend.matching"), () => bulk(ctx, "resend", filter), { tone: "primary" }), button(t("discard.matching"), () => bulk(ctx, "discard", filter), { tone: "danger quiet" })] : null);
  const pager = h("nav.pager", { "aria-label": t("pages") },
    cursor && link("/dead-letters" + query(filter), t("newest.first")),
    page.next && h("a", { href: "/dead-letters" + query({ ...filter, cursor: page.next }), rel: "next" }, t("older")));
  const fresh = h("div", { "aria-live": "polite" });
  let before = dead(ctx.counts, filter.app);
  ctx.on("counts", () => {
    const now = dead(ctx.counts, filter.app);
    before ??= now;
    if (before !== undefined && now !== undefined && now !== before && !fresh.firstChild) {
      fresh.append(button(t("changed.refresh"), () => ctx.reload(), { tone: "small quiet" }));
    }
  });
  return {
    title: t("nav.letters"),
    body: [
      h("div.head", {}, h("h1", {}, t("nav.letters")), fresh),
      filterBar(ctx, "/dead-letters", filterNames),
      h("div.bar", {}, bar, whole),
      body ?? empty(page.next ? t("letters.none_yet") : Object.keys(filter).some((k) => k !== "state") ? t("letters.none_here") : t("letters.none")),
      pager,
      ctx.can("admin") && h("p.actions.start", {}, page.items.length > 0 && button(t("export"), () => take(filter), { tone: "small quiet" }), button(t("import"), () => bring(ctx), { tone: "small quiet" })),
    ],
  };
}

// take exports what the filter selects, after a word of warning.
async function take(filter) {
  await dialog({
    title: t("export"), confirm: t("export.do"), body: [h("p", {}, t("export.text"))],
    submit: () => download("/export", { filter }, "dead-letters.jsonl"),
  });
}

// bring imports a file, first to see what would be done.
async function bring(ctx) {
  const file = h("input", { type: "file", name: "file", accept: ".jsonl,.ndjson,.json", required: true, "data-first": true });
  const seen = h("div", { "aria-live": "polite" });
  let tried = null;
  const done = await dialog({
    title: t("import"), confirm: t("import.try"), wide: true,
    body: [h("p.muted", {}, t("import.text")), field(t("import.file"), file, { wide: true }), reason({ required: false }), seen],
    submit: async (data, box) => {
      const now = tried === file.files[0];
      const got = await upload("/import" + query({ dry_run: now ? "" : "true", reason: data.get("reason").trim() }), file.files[0]);
      if (now) return got;
      tried = file.files[0];
      seen.replaceChildren(imported(got));
      box.querySelector("button[type=submit]").textContent = t("import.do");
      return false;
    },
  });
  if (done) {
    announce(t("import.done", { n: number(done.added + done.edited) }), "good");
    await ctx.reload();
  }
}

// imported is what became of the lines of a file, or would.
function imported(a) {
  return h("div", {}, h("p", {}, ["added", "edited", "unchanged", "skipped", "refused"].map((k, i) => [i > 0 && " · ", known("import", k), " ", h("b", {}, number(a[k]))])),
    a.lines.length > 0 && h("ul.plain.small", {}, a.lines.slice(0, 20).map((l) => h("li", {}, t("line", { n: l.line }), ": ", l.id && [code(l.id), " "], say(l.detail)))));
}

function dead(counts, app) {
  const all = [...counts.values()].filter((a) => !app || a.app === app);
  return all.length ? all.reduce((n, a) => n + (a.dead || 0), 0) : undefined;
}

// collect reads a page. Under a free filter the server looks at a bounded number
// of dead letters an answer, so a page may take several.
async function collect(ctx, filter, cursor) {
  const items = [];
  let next = cursor;
  for (let i = 0; i < 12; i++) {
    const page = await ctx.list("/dead-letters" + query({ ...filter, limit: limit - items.length, cursor: next }));
    items.push(...page.items);
    next = page.next;
    if (!next || items.length >= limit) break;
    if (i === 1) announce(t("searching"));
  }
  return { items, next, more: Boolean(next) };
}

// count is how many a filter selects, from the counts of the causes.
async function count(ctx, filter) {
  try {
    const { items } = await ctx.list("/causes" + query(filter));
    return items.reduce((n, c) => n + Object.entries(c.counts ?? {}).reduce((m, [s, v]) => m + (!filter.state || s === filter.state ? v : 0), 0), 0);
  } catch (e) {
    if (e.name === "AbortError") throw e;
    return null;
  }
}

// letterTable shows dead letters as rows; chosen collects those that are ticked.
export function letterTable(ctx, items, { chosen, changed, lean = false } = {}) {
  const boxes = [];
  const all = chosen && h("input", { type: "checkbox", "aria-label": t("select.page"), onchange: () => {
    for (const [box, e] of boxes) {
      box.checked = all.checked;
      if (all.checked) chosen.set(key(e), e);
      else chosen.delete(key(e));
    }
    changed();
  } });
  const key = (e) => `${e.app}/${e.id}`;
  const tick = (e) => {
    const box = h("input", { type: "checkbox", "aria-label": t("select.one", { id: e.id }), onchange: () => {
      if (box.checked) chosen.set(key(e), e);
      else chosen.delete(key(e));
      all.checked = chosen.size === items.length;
      all.indeterminate = chosen.size > 0 && !all.checked;
      changed();
    } });
    boxes.push([box, e]);
    return box;
  };
  const columns = [
    chosen && { label: all, cls: "tick", hide: false, text: "" },
    { label: t("failed_at"), cls: "when" }, { label: t("what") }, !lean && { label: t("answer") }, { label: t("attempts"), cls: "num" }, { label: t("f.state"), cls: "state" },
  ].filter(Boolean);
  return table(t("nav.letters"), columns, items.map((e) => ({
    cells: [
      chosen && tick(e),
      time(e.last_failed_at),
      h("div", {}, h("a", { href: path`/dead-letters/${e.app}/${e.id}`, "data-open": true }, code(e.id)), h("span.muted", {}, " ", code(e.app)),
        h("div.sub", {}, h("span.kind", { title: e.kind }, say(e.kind)), " ", about(e.payload)), words(e.payload) && h("div.clip.muted", {}, say(words(e.payload)))),
      !lean && h("div", {}, e.status > 0 && [h("b", {}, String(e.status)), " "], e.error ? code(brief(e.error)) : known("reason", e.reason), " ", pill("class", e.class), e.description && h("div.clip.muted", {}, say(e.description))),
      h("span", {}, short(attempts(e)), e.generation > 0 && h("small.muted", {}, " ", t("generation.short", { n: e.generation }))),
      pill("state", e.state),
    ].filter((c) => c !== undefined && c !== false),
  })));
}

const attempts = (e) => (Array.isArray(e.attempts) ? e.attempts.length + (e.attempts_left_out ?? 0) : e.attempts ?? 0);
