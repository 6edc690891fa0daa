// The causes: the list that an operator works down.

import { Action, path, query } from "/api.js";
import { t } from "/i18n.js";
import { about, bars, both, brief, button, card, code, announce, dialog, empty, facts, field, h, known, link, number, pill, say, short, time, tr, words } from "/ui.js";
import { bulk } from "/views/bulk.js";
import { filterBar, letterTable } from "/views/letters.js";
import { silence } from "/views/alerts.js";

const perPage = 50;
const states = ["open", "acknowledged", "ignored", "resolved"];
const stateOf = (c) => c.triage?.state ?? "open";
const dead = (c) => c.counts?.dead ?? 0;

export async function causes(ctx) {
  const q = ctx.query;
  const filter = pick(q, ["app", "class", "kind", "error", "since"]);
  const { items } = await ctx.list("/causes" + query(filter));
  const tab = states.includes(q.get("triage")) ? q.get("triage") : "open";
  const sort = q.get("sort") === "recent" ? "recent" : "count";
  const tally = Object.fromEntries(states.map((s) => [s, items.filter((c) => stateOf(c) === s).length]));
  const mine = items.filter((c) => stateOf(c) === tab);
  mine.sort(sort === "recent" ? (a, b) => String(b.last_seen).localeCompare(String(a.last_seen)) : (a, b) => dead(b) - dead(a) || String(b.last_seen).localeCompare(String(a.last_seen)));
  const page = Math.max(0, Number(q.get("page")) || 0);
  const shown = mine.slice(page * perPage, (page + 1) * perPage);
  const here = (change) => "/causes" + query({ ...Object.fromEntries(q), ...change });
  return {
    title: t("nav.causes"),
    body: [
      h("h1", {}, t("nav.causes")),
      filterBar(ctx, "/causes", ["app", "class", "since", "kind", "error"], { keep: ["triage", "sort"] }),
      h("div.tabs", {}, h("nav", { "aria-label": t("triage") }, states.map((s) => h("a", { href: here({ triage: s === "open" ? "" : s, page: "" }), "aria-current": s === tab ? "true" : undefined }, known("triage", s), " ", h("span.n", {}, number(tally[s]))))),
        h("span.sort", {}, h("span.muted", {}, t("sort") + " "), ["count", "recent"].map((s) => h("a", { href: here({ sort: s === "count" ? "" : s }), "aria-current": s === sort ? "true" : undefined }, t("sort." + s))))),
      shown.length ? h("ol.causes", {}, shown.map((c) => causeRow(ctx, c))) : empty(items.length ? t("causes.none_here") : t("causes.none")),
      mine.length > perPage && h("nav.pager", { "aria-label": t("pages") }, page > 0 && link(here({ page: page - 1 || "" }), t("previous")), h("span.muted", {}, t("range", { from: page * perPage + 1, to: page * perPage + shown.length, total: number(mine.length) })), (page + 1) * perPage < mine.length && link(here({ page: page + 1 }), t("next"))),
    ],
  };
}

export function pick(q, names) {
  return Object.fromEntries(names.map((n) => [n, q.get(n) ?? ""]).filter(([, v]) => v));
}

const where = (c) => path`/causes/${c.app}/${c.id}`;

// fault is what went wrong, in the words of the answer.
function fault(c) {
  return [c.error ? code(brief(c.error)) : known("reason", c.reason), c.description && [h("span.muted", {}, ": "), say(brief(c.description, 220))]];
}

function trend(c) {
  const x = c.trend ?? {};
  const change = (x.last_hour ?? 0) - (x.hour_before ?? 0);
  const direction = change > 0 ? "up" : change < 0 ? "down" : "flat";
  const says = t("trend.says", { hour: number(x.last_hour ?? 0), before: number(x.hour_before ?? 0), day: number(x.last_day ?? 0) });
  const series = Array.isArray(x.series) ? x.series : c.series;
  return h(`div.trend.${direction}`, { title: says },
    Array.isArray(series) && bars(series, says, "bad"),
    h("span", { "aria-hidden": "true" }, { up: "▲", down: "▼", flat: "–" }[direction], " ", t("trend.hour", { n: short(x.last_hour ?? 0) })),
    h("small.muted", { "aria-hidden": "true" }, t("trend.day", { n: short(x.last_day ?? 0) })),
    h("span.hide", {}, says));
}

function causeRow(ctx, c) {
  const n = dead(c);
  return h("li.cause", { "data-row": true },
    h("div.tally", {}, link("/dead-letters" + query({ app: c.app, cause: c.id, state: n ? "dead" : "" }), h("b", {}, short(n)), h("span", {}, t("dead.label", { n }))), trend(c)),
    h("div.what", {},
      h("h2", {}, h("a", { href: where(c), "data-open": true }, fault(c))),
      h("p.meta", {}, pill("class", c.class), " ", c.reason && c.reason !== "verdict" && [h("span.pill.ask", {}, known("reason", c.reason)), " "], h("span", { title: c.kind }, code(c.kind)), " · ", code(c.app), " · ", t("seen"), " ", time(c.last_seen), c.counts?.resending > 0 && [" · ", t("resending.n", { n: number(c.counts.resending) })]),
      h("p", {}, both(c.why), " ", h("span.advice", {}, both(c.advice))),
      c.triage?.state && c.triage.state !== "open" && h("p.muted", {}, pill("triage", c.triage.state), " ", c.triage.by && say(c.triage.by), " ", c.triage.at && time(c.triage.at), c.triage.note && [" · ", say(c.triage.note)])),
    h("div.actions", {}, causeActions(ctx, c, "small")));
}

function causeActions(ctx, c, tone = "") {
  const n = dead(c);
  const state = stateOf(c);
  const sample = c.sample && tone ? link(path`/dead-letters/${c.app}/${c.sample}`, t("sample")) : null;
  if (!ctx.can("operate")) return [sample && h("span.small", {}, sample)];
  const unknown = c.reason === "unknown-outcome";
  return [
    n > 0 && !unknown && button(t("resend.all", { n: short(n) }), () => bulk(ctx, "resend", { app: c.app, cause: c.id }), { tone: "primary " + tone }),
    n > 0 && unknown && h("a.button." + (tone || "plain"), { href: "/dead-letters" + query({ app: c.app, cause: c.id, state: "dead" }) }, t("resolve.each")),
    state !== "acknowledged" && state !== "resolved" && button(t("ack"), () => triage(ctx, c, "ack"), { tone }),
    state !== "ignored" && state !== "resolved" && button(t("ignore"), () => triage(ctx, c, "ignore"), { tone }),
    state !== "open" && button(t("reopen"), () => triage(ctx, c, "reopen"), { tone }),
    sample && h("span.small", {}, sample),
  ];
}

async function triage(ctx, c, action) {
  const act = new Action();
  const ok = await dialog({
    title: t(action + ".title"), confirm: t(action),
    body: [h("p", {}, fault(c)), h("p.muted", {}, t(action + ".text")), field(t("note"), h("input", { name: "note", maxlength: 500, autocomplete: "off", "data-first": true }), { wide: true })],
    submit: (data) => act.send("POST", path`/causes/${c.app}/${c.id}/` + action, { note: data.get("note").trim() || undefined }),
  });
  if (!ok) return;
  announce(t(action + ".done"), "good");
  await ctx.reload();
}

// One cause

export async function cause(ctx) {
  const filter = { app: ctx.app, cause: ctx.id, state: "dead" };
  const c = await ctx.get(path`/causes/${ctx.app}/${ctx.id}`);
  const n = dead(c);
  const newest = n ? await ctx.list("/dead-letters" + query({ ...filter, limit: 10 })) : { items: [] };
  const sample = newest.items.find((e) => e.id === c.sample) ?? newest.items[0];
  const counts = Object.entries(c.counts ?? {}).filter(([, v]) => v > 0);
  return {
    title: c.error || ctx.id,
    body: [
      h("p.crumbs", {}, link("/causes" + query({ app: c.app }), t("nav.causes")), " / ", code(c.app)),
      h("div.head", {}, h("h1", {}, fault(c)), pill("triage", stateOf(c))),
      h("p.meta", {}, pill("class", c.class), " ", code(c.kind), " · ", known("kind", c.kind)),
      h("div.actions.start", {}, causeActions(ctx, c),
        ctx.can("operate") && n > 0 && button(t("discard.all", { n: short(n) }), () => bulk(ctx, "discard", { app: c.app, cause: c.id }), { tone: "danger quiet" }),
        ctx.can("operate") && button(t("silence.cause"), () => silence(ctx, { app: c.app, cause: c.id }), { tone: "quiet" })),
      h("div.columns", {},
        card(t("why"), h("p", {}, both(c.why)), h("p.advice.big", {}, both(c.advice)),
          facts([[t("rule"), c.rule && link("/rules" + query({ q: c.rule }), code(c.rule))], [t("scope"), known("scope", c.scope)], [t("reason.ended"), known("reason", c.reason)], ["ID", code(c.id)]])),
        card(t("numbers"),
          facts([...counts.map(([s, v]) => [known("state", s), link("/dead-letters" + query({ app: c.app, cause: c.id, state: s }), number(v))]), [t("first_seen"), time(c.first_seen)], [t("last_seen"), time(c.last_seen)], [t("last_hour"), tr("trend.than", { n: number(c.trend?.last_hour ?? 0), before: number(c.trend?.hour_before ?? 0) })], [t("last_day"), tr("trend.than_day", { n: number(c.trend?.last_day ?? 0), before: number(c.trend?.day_before ?? 0) })]]),
          Array.isArray(c.trend?.series ?? c.series) && bars(c.trend?.series ?? c.series, t("trend"), "bad")),
        (c.triage?.by || c.triage?.note) && card(t("triage"), h("p", {}, pill("triage", stateOf(c)), " ", say(c.triage.by), " ", time(c.triage.at)), c.triage.note && h("p", {}, say(c.triage.note))),
        sample && card(t("sample"), h("p", {}, link(path`/dead-letters/${sample.app}/${sample.id}`, code(sample.id))), h("p", {}, about(sample.payload)), words(sample.payload) && h("blockquote", {}, say(words(sample.payload))))),
      card(t("newest"), newest.items.length ? [letterTable(ctx, newest.items, { lean: true }), h("p", {}, link("/dead-letters" + query(filter), t("all.n", { n: number(n) })))] : empty(t("letters.none"))),
    ],
  };
}

