// How each app is.

import { query } from "/api.js";
import { t } from "/i18n.js";
import { bars, both, button, code, duration, h, known, link, number, say, short, time, tr } from "/ui.js";
import { clearHold } from "/views/control.js";

export async function overview(ctx) {
  const { items } = await ctx.list("/overview");
  items.sort((a, b) => Number((b.holds?.length ?? 0) > 0) - Number((a.holds?.length ?? 0) > 0)); // what stands still comes first
  ctx.every(15, ctx.reload);
  ctx.on("counts", throttle(ctx.reload, 5000));
  return {
    title: t("nav.overview"),
    body: [
      h("h1", {}, t("nav.overview")),
      items.length ? h("div.apps", {}, items.map((a) => appCard(ctx, a))) : firstSteps(),
    ],
  };
}

// throttle lets a function run at most once in a time.
export function throttle(f, ms) {
  let last = Date.now();
  return () => {
    if (Date.now() - last < ms || document.querySelector("dialog[open]")) return;
    last = Date.now();
    f();
  };
}

function firstSteps() {
  return h("section.card.first", {}, h("h2", {}, t("first.title")), h("p", {}, t("first.text")),
    h("pre", {}, "emq enqueue --to u1 --from admin --text 'hello'"), h("p.muted", {}, t("first.more")));
}

function appCard(ctx, a) {
  const q = a.queues ?? {};
  const held = a.holds ?? [];
  const waiting = (q.pending ?? 0) + (q.retry ?? 0);
  const state = held.some((x) => !x.family) ? "held" : held.length ? "partly-held" : q.paused ? "paused" : "running";
  const tone = { held: "bad", "partly-held": "warn", paused: "warn", running: "good" }[state];
  const id = "app-" + a.app;
  return h(`section.card.app.${state}`, { "aria-labelledby": id },
    h("div.head", {}, h("h2", { id }, say(a.app)), h(`span.pill.${tone}`, {}, t("app." + state))),
    held.map((x) => holdRow(ctx, x)),
    h("div.body", {}, h("div.figures", {},
      figure(t("dead"), number(a.dead), "/dead-letters" + query({ app: a.app, state: "dead" }), a.dead > 0 ? "bad" : "", a.causes > 0 && t("causes.n", { n: a.causes }), "/causes" + query({ app: a.app })),
      figure(t("backlog"), number(waiting), "/queues" + query({ app: a.app }), "", q.oldest_seconds > 0 ? t("oldest", { age: duration(q.oldest_seconds) }) : t("oldest.none")),
      figure(t("active"), number(q.active ?? 0), null, "", q.scheduled > 0 && t("scheduled.n", { n: q.scheduled })),
      figure(t("retry"), number(q.retry ?? 0), null, "")),
    h("table.periods", {},
      h("caption.hide", {}, t("periods")),
      h("thead", {}, h("tr", {}, h("td", {}), h("th", { scope: "col" }, t("last_hour")), h("th", { scope: "col" }, t("last_day")))),
      h("tbody", {}, ["delivered", "failed", "dead"].map((what) => h("tr", {}, h("th", { scope: "row" }, t("p." + what)), [a.last_hour ?? a.hour, a.last_day ?? a.day].map((p, i) => h("td", {}, period(p, what, i ? t("last_day") : t("last_hour"), what === "dead" ? (i ? a.series?.day : a.series?.hour) : undefined)))))))),
    limitsOf(a));
}

function figure(label, value, href, tone, more, moreHref) {
  return h(`div.figure${tone ? "." + tone : ""}`, {}, h("span.label", {}, label), href ? link(href, h("b", {}, value)) : h("b", {}, value),
    more ? h("small", {}, moreHref ? link(moreHref, more) : more) : null);
}

// period reads a number and its series, in whichever of the likely shapes they come.
function period(p, what, when, dead) {
  const v = p?.[what];
  if (v === null || v === undefined) return h("span.muted", { title: t("not_measured") }, "–");
  const total = typeof v === "number" ? v : v.total ?? v.count ?? v.sum;
  const series = v.series ?? p.series?.[what] ?? dead;
  const tone = { delivered: "good", failed: "warn", dead: "bad" }[what];
  return h("span.period", {}, h("b", {}, short(total)), Array.isArray(series) && series.length > 1 && bars(series, t("chart", { what: t("p." + what), when, n: number(total), max: number(Math.max(...series)) }), tone));
}

function holdRow(ctx, x) {
  return h("div.notice.bad.hold", {},
    h("div", {}, h("strong", {}, x.family ? tr("hold.family", { family: known("family", x.family) }) : t("hold.app")), " ", time(x.since), x.by && [" · ", say(x.by)]),
    h("div", {}, both(x.why), " ", both(x.advice)),
    (x.error || x.description) && h("div.muted", {}, x.status ? [code(x.status), " "] : null, code(x.error), " ", say(x.description)),
    ctx.can("operate") && h("div.actions.start", {}, button(t("hold.clear"), () => clearHold(ctx, x), { tone: "small" })));
}

function limitsOf(a) {
  const limits = Array.isArray(a.limits) ? a.limits : [];
  if (!limits.length) return null;
  return h("details.more", {}, h("summary", {}, t("limits.n", { n: limits.length })),
    h("ul.plain", {}, limits.map((l) => h("li", {}, code(l.endpoint), " ", limitWords(l.limit ?? l), l.from && h("span.muted", {}, " · ", known("from", l.from)))),
    ), h("p", {}, link("/limits" + query({ app: a.app }), t("nav.limits"))));
}

// limitWords is a limit in words.
export function limitWords(l) {
  if (typeof l === "string") return code(l);
  const parts = [l?.calls && tr("limit.calls", { rate: code(l.calls) }), l?.messages && tr("limit.messages", { rate: code(l.messages) })].filter(Boolean);
  return parts.length ? parts.map((p, i) => [i > 0 && ", ", p]) : t("limit.none");
}

