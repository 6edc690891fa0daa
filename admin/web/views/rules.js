// The rules, with a box to paste an answer and see its verdict.

import { Action, path, query } from "/api.js";
import { t } from "/i18n.js";
import { both, button, card, code, empty, facts, field, h, known, link, newID, number, pill, plain, problem, say, select, table, time } from "/ui.js";
import { kindList } from "/views/letters.js";

const perPage = 50;
const transports = ["timeout", "connection_refused", "connection_reset", "dns", "tls", "canceled", "other"];

export async function rules(ctx) {
  const [{ items }, unknowns] = await Promise.all([ctx.list("/rules"), ctx.list("/unknowns").catch((e) => {
    if (e.name === "AbortError") throw e;
    return { items: [] };
  })]);
  const search = h("input", { type: "search", name: "q", value: ctx.query.get("q") ?? "", autocomplete: "off", spellcheck: "false" });
  const result = h("div", {});
  const tally = h("p.muted", { "aria-live": "polite" });
  const box = explain(ctx);

  function filter() {
    const wanted = search.value.trim().toLowerCase();
    const shown = items.filter((r) => !wanted || JSON.stringify(r).toLowerCase().includes(wanted));
    tally.textContent = t("rules.n", { n: number(shown.length), total: number(items.length) });
    const first = shown.slice(0, perPage);
    result.replaceChildren(...(shown.length ? [ruleTable(first, items), shown.length > first.length && h("p.pager", {}, button(t("rules.rest", { n: number(shown.length - first.length) }), () => {
      result.replaceChildren(ruleTable(shown, items));
      result.querySelectorAll("[data-row]")[first.length]?.querySelector("a, button, summary")?.focus();
    }))].filter(Boolean) : [empty(t("rules.none"))]));
    history.replaceState(history.state, "", "/rules" + query({ q: search.value.trim() }));
  }
  let timer;
  search.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => ctx.active() && filter(), 150);
  });
  filter();
  return {
    title: t("nav.rules"),
    body: [
      h("h1", {}, t("nav.rules")), h("p.muted", {}, t("rules.text")),
      box.node,
      unknowns.items.length > 0 && card(t("unknowns"), h("p.muted", {}, t("unknowns.text")),
        table(t("unknowns"), [{ label: t("count"), cls: "num" }, { label: t("answer") }, { label: t("f.kind") }, { label: t("last_seen") }, { label: t("actions"), hide: true, cls: "do" }], unknowns.items.slice(0, 50).map((u) => ({
          cells: [number(u.count), h("div", {}, h("b", {}, String(u.status)), " ", code(u.error), " ", say(u.description), u.task && h("div.muted", {}, link(path`/dead-letters/${u.app}/${u.task}`, code(u.task)))), h("div", {}, code(u.kind), " ", h("span.muted", {}, code(u.app))), time(u.last),
            button(t("explain.this"), () => box.fill(u), { tone: "small", "data-open": true })],
        })))),
      card(t("rules.all"), h("form.filters", { role: "search", "aria-label": t("rules.search"), onsubmit: (e) => e.preventDefault() }, field(t("rules.search"), search)), tally, result),
    ],
  };
}

function ruleTable(shown, all) {
  const columns = [{ label: "#", cls: "num" }, { label: t("rule"), cls: "name" }, { label: t("match") }, { label: t("f.class"), cls: "state" }, { label: t("why") }];
  return table(t("rules.all"), columns, shown.map((r) => ({
    cells: [number(all.indexOf(r) + 1), h("div", {}, code(r.id), r.from === "file" && [" ", h("span.pill.ask", {}, t("rules.own"))]), matches(r), h("div", {}, pill("class", r.class), r.scope === "app" && h("div.small", {}, known("scope", "app")), r.delay && h("div.small.muted", {}, known("delay", r.delay))), h("div", {}, both(r.why), h("div.advice", {}, both(r.advice)))],
  })));
}

function matches(r) {
  const parts = [["statuses", r.statuses], ["errors", r.errors], ["contains", r.contains], ["unless", r.unless], ["kinds", r.kinds], ["transports", r.transports], ["body", r.body && [r.body]], ["fresh_token", r.fresh_token && ["401"]]].filter(([, v]) => v?.length);
  if (!parts.length) return h("span.muted", {}, t("match.all"));
  const most = 6;
  return h("ul.plain.small", {}, parts.map(([k, v]) => h("li", {}, h("span.muted", {}, t("match." + k) + " "), v.slice(0, most).map((x, i) => [i > 0 && ", ", k === "statuses" && x < 10 ? `${x}xx` : x === "" ? t("match.empty") : code(x)]),
    v.length > most && " ", v.length > most && h("details.inline", {}, h("summary", {}, t("more", { n: v.length - most })), v.slice(most).map((x, i) => [i > 0 && ", ", code(x)])))));
}

// explain is the box for an answer.
function explain(ctx) {
  const kinds = newID("kinds");
  const status = h("input", { name: "status", inputmode: "numeric", maxlength: 3, autocomplete: "off", class: "short" });
  const body = h("textarea", { name: "body", rows: 4, spellcheck: "false", autocomplete: "off", dir: "ltr" });
  const kind = h("input", { name: "kind", list: kinds, autocomplete: "off", spellcheck: "false" });
  const transport = select("transport", [["", t("transport.answered")], ...transports.map((x) => [x, known("transport", x)])], "");
  const error = h("input", { name: "error", autocomplete: "off", spellcheck: "false" });
  const description = h("input", { name: "description", autocomplete: "off", spellcheck: "false" });
  const own = h("textarea", { name: "rules", rows: 6, spellcheck: "false", autocomplete: "off", dir: "ltr" });
  const verdict = h("div.verdict", { "aria-live": "polite" });

  async function ask() {
    const value = (el) => el.value.trim() || undefined;
    try {
      const answer = { status: Number(status.value) || undefined, body: value(body), error: value(error), description: value(description), kind: value(kind), transport: value(transport) };
      if (!own.value.trim()) {
        verdict.replaceChildren(shownVerdict(await new Action().send("POST", "/explain", answer)));
        return;
      }
      const given = Object.values(answer).some((x) => x !== undefined);
      verdict.replaceChildren(shownCheck(await new Action().send("POST", "/rules/check", { text: own.value, answer: given ? answer : undefined })));
    } catch (e) {
      if (e.name !== "AbortError") verdict.replaceChildren(problem(e));
    }
  }
  // A whole answer, with its status line, may be pasted.
  body.addEventListener("paste", () => setTimeout(() => {
    const m = /^HTTP\/[\d.]+ (\d{3})[^\n]*\n(?:[^\n]+\n)*\r?\n?/.exec(body.value);
    if (m) {
      status.value = m[1];
      body.value = body.value.slice(m[0].length).trim();
    }
  }));
  const form = h("form.explain", { onsubmit: (e) => { e.preventDefault(); ask(); } },
    field(t("explain.body"), body, { hint: t("explain.hint"), wide: true }),
    h("div.row", {}, field(t("f.status"), status), field(t("f.kind"), kind), field(t("transport"), transport)),
    h("details", {}, h("summary", {}, t("explain.words")), h("div.row", {}, field(t("f.error"), error), field(t("description"), description))),
    ctx.can("operate") && h("details", {}, h("summary", {}, t("rules.try")), field(t("rules.yaml"), own, { hint: t("rules.yaml.hint"), wide: true })),
    h("datalist", { id: kinds }, kindList().map((v) => h("option", { value: v }))),
    h("div.actions.start", {}, h("button.primary", { type: "submit" }, t("explain"))));
  return {
    node: card(t("explain.title"), h("div.columns.even", {}, form, verdict)),
    fill(u) {
      status.value = u.status || "";
      body.value = plain(u.body || "");
      error.value = u.body ? "" : plain(u.error || "");
      description.value = u.body ? "" : plain(u.description || "");
      kind.value = u.kind || "";
      form.scrollIntoView({ block: "start" });
      body.focus();
      ask();
    },
  };
}

// shownCheck is what is to be said of a file of rules.
function shownCheck(c) {
  const lines = (title, list) => list?.length > 0 && h("div", {}, h("h3", {}, title), h("ul.plain.small", {}, list.map((x) => h("li", {}, say(x)))));
  return h("div", {},
    c.faults?.length ? lines(t("rules.faults"), c.faults) : h("p", {}, t("rules.sound", { rules: number(c.rules), tests: number(c.tests) })),
    lines(t("rules.failed"), c.failed), lines(t("rules.warnings"), c.warnings),
    c.verdict && shownVerdict(c.verdict));
}

function shownVerdict(v) {
  return h("div", {}, h("h3", {}, t("verdict"), " ", pill("class", v.class)),
    v.unknown && h("p", {}, h("span.pill.warn", {}, t("verdict.unknown"))),
    h("p", {}, both(v.why)), h("p.advice.big", {}, both(v.advice)), (v.next?.en || v.next?.zh) && h("p", {}, both(v.next)),
    facts([[t("rule"), v.rule && code(v.rule)], [t("scope"), v.scope && known("scope", v.scope)], [t("delay"), v.delay && known("delay", v.delay)], [t("f.status"), v.status > 0 && String(v.status)], [t("f.error"), v.error && code(v.error)], [t("description"), v.description && say(v.description)], [t("outcome"), v.outcome_unknown && t("outcome.unknown")], [t("mend"), v.mend && known("mended", v.mend)]]));
}
