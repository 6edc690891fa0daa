// Queues, holds and limits: what stops and slows calls.

import { Action, path, query } from "/api.js";
import { t } from "/i18n.js";
import { announce, both, button, code, dialog, duration, empty, field, h, known, number, pill, reason, say, select, table, time } from "/ui.js";
import { limitWords } from "/views/overview.js";
import { filterBar } from "/views/letters.js";

const families = ["messages", "groups", "rooms", "users"];
const apps = (ctx) => (ctx.session.apps ?? []).map((a) => [a, a]);
const ofApp = (ctx, where) => ctx.list(where + query({ app: ctx.query.get("app") ?? "" }));

// appField asks for an app; by name when the server told of none.
function appField(ctx, value) {
  const list = apps(ctx);
  const now = value ?? ctx.query.get("app") ?? list[0]?.[0] ?? "";
  return field(t("f.app"), list.length ? select("app", list, now) : h("input", { name: "app", value: now, required: true, autocomplete: "off" }));
}

// Queues

export async function queues(ctx) {
  const { items } = await ofApp(ctx, "/queues");
  const all = ctx.query.get("all") === "1";
  const busy = (q) => q.pending + q.active + q.scheduled + q.retry + (q.archived ?? 0) > 0 || q.paused;
  const shown = all ? items : items.filter(busy);
  shown.sort((a, b) => (b.pending + b.retry) - (a.pending + a.retry) || String(a.name).localeCompare(String(b.name)));
  ctx.every(10, ctx.reload);
  return {
    title: t("nav.queues"),
    body: [h("h1", {}, t("nav.queues")), h("p.muted", {}, t("queues.text")),
      filterBar(ctx, "/queues", ["app"], { keep: ["all"] }),
      shown.length ? table(t("nav.queues"), [{ label: t("queue"), cls: "name" }, { label: t("pending"), cls: "num" }, { label: t("active"), cls: "num" }, { label: t("retry"), cls: "num" }, { label: t("scheduled"), cls: "num" }, { label: t("age"), cls: "num" }, { label: t("f.state") }, { label: t("actions"), cls: "do", hide: true }], shown.map((q) => ({
        cells: [h("div", {}, code(q.name)), number(q.pending), number(q.active), number(q.retry), number(q.scheduled), q.latency_ms > 0 ? duration(q.latency_ms / 1000) : "–",
          q.paused ? h("div", {}, pill("queue", "paused"), " ", h("span.muted", {}, known("paused", q.paused_by || "operator"), q.pause?.by && [" · ", say(q.pause.by)], q.pause?.note && [" · ", say(q.pause.note)])) : h("span.muted", {}, t("queue.runs")),
          ctx.can("operate") && (q.paused ? q.paused_by !== "hold" && button(t("resume"), () => pause(ctx, q, "resume"), { tone: "small", "aria-label": `${t("resume")} ${q.name}` }) : button(t("pause"), () => pause(ctx, q, "pause"), { tone: "small", "aria-label": `${t("pause")} ${q.name}` }))],
      }))) : empty(items.length ? t("queues.idle") : t("queues.none")),
      items.length > 0 && h("p", {}, h("a", { href: "/queues" + query({ app: ctx.query.get("app") ?? "", all: all ? "" : "1" }) }, all ? t("queues.busy") : t("queues.all", { n: items.length })))],
  };
}

async function pause(ctx, q, action) {
  const act = new Action();
  const ok = await dialog({
    title: t(`${action}.title`), confirm: t(action), body: [h("p", {}, code(q.name)), h("p.muted", {}, t(`${action}.text`)), action === "pause" && reason()],
    submit: (data) => act.send("POST", path`/queues/${q.name}/` + action, action === "pause" ? { reason: data.get("reason").trim() } : undefined),
  });
  if (ok) {
    announce(t(`${action}.done`), "good");
    await ctx.reload();
  }
}

// Holds

export async function holds(ctx) {
  const { items } = await ofApp(ctx, "/holds");
  ctx.every(15, ctx.reload);
  return {
    title: t("nav.holds"),
    body: [
      h("div.head", {}, h("h1", {}, t("nav.holds")), ctx.can("operate") && button(t("hold.set"), () => setHold(ctx), {})),
      h("p.muted", {}, t("holds.text")),
      items.length ? h("ul.cards", {}, items.map((x) => h("li.card.held", { "data-row": true },
        h("div.head", {}, h("h2", {}, code(x.app), x.family && [" / ", known("family", x.family)]), h("span.muted", {}, t("since"), " ", time(x.since), x.by && [" · ", say(x.by)])),
        h("p", {}, both(x.why)), h("p.advice.big", {}, both(x.advice)),
        (x.error || x.description || x.status > 0) && h("p.muted", {}, x.status > 0 && [h("b", {}, String(x.status)), " "], code(x.error), " ", say(x.description), x.rule && [" · ", t("rule"), " ", code(x.rule)], x.task && [" · ", t("task"), " ", code(x.task)]),
        ctx.can("operate") && h("div.actions.start", {}, button(t("hold.clear"), () => clearHold(ctx, x), { tone: "primary", "data-open": true, "aria-label": `${t("hold.clear")} ${x.app} ${x.family ?? ""}` }))))) : empty(t("holds.none")),
    ],
  };
}

export async function clearHold(ctx, x) {
  const act = new Action();
  const ok = await dialog({
    title: t("hold.clear.title"), confirm: t("hold.clear"), body: [h("p", {}, code(x.app), x.family && [" / ", known("family", x.family)]), h("p.muted", {}, t("hold.clear.text"))],
    submit: () => act.send("DELETE", x.family ? path`/holds/${x.app}/${x.family}` : path`/holds/${x.app}`),
  });
  if (ok) {
    announce(t("hold.cleared"), "good");
    await ctx.reload();
  }
}

async function setHold(ctx) {
  const act = new Action();
  const ok = await dialog({
    title: t("hold.set"), confirm: t("hold.do"), danger: true,
    body: [h("p.muted", {}, t("hold.set.text")), h("div.row", {}, appField(ctx), field(t("family"), select("family", [["", t("family.all")], ...families.map((f) => [f, known("family", f)])], ""))), reason()],
    submit: (data) => act.send("POST", "/holds", { app: data.get("app"), family: data.get("family") || undefined, reason: data.get("reason").trim() }),
  });
  if (ok) {
    announce(t("hold.done"), "good");
    await ctx.reload();
  }
}

// Limits

export async function limits(ctx) {
  const all = ctx.query.get("all") === "1";
  const { items } = await ctx.list("/limits" + query({ app: ctx.query.get("app") ?? "", all: all ? "true" : "" }));
  return {
    title: t("nav.limits"),
    body: [
      h("div.head", {}, h("h1", {}, t("nav.limits")), ctx.can("admin") && button(t("limit.set"), () => setLimit(ctx), {})),
      h("p.muted", {}, t("limits.text")),
      filterBar(ctx, "/limits", ["app"], { keep: ["all"] }),
      items.length ? table(t("nav.limits"), [{ label: t("f.app") }, { label: t("endpoint") }, { label: t("limit") }, { label: t("limit.from") }, { label: t("reason") }, { label: t("actions"), hide: true, cls: "do" }], items.map((l) => ({
        cells: [code(l.app), code(l.endpoint), h("span", {}, limitWords(l.limit)), h("div", {}, known("from", l.from), l.by && h("div.muted", {}, say(l.by), " ", l.since && time(l.since))), l.reason ? say(l.reason) : "–",
          ctx.can("admin") && h("span.actions", {}, button(t("change"), () => setLimit(ctx, l), { tone: "small", "data-open": true, "aria-label": `${t("change")} ${l.app} ${l.endpoint}` }), l.from === "set" && button(t("limit.clear"), () => clearLimit(ctx, l), { tone: "small quiet", "aria-label": `${t("limit.clear")} ${l.app} ${l.endpoint}` }))],
      }))) : empty(t("limits.none")),
      h("p", {}, h("a", { href: "/limits" + query({ app: ctx.query.get("app") ?? "", all: all ? "" : "1" }) }, all ? t("limits.used") : t("limits.all"))),
    ],
  };
}

async function setLimit(ctx, l) {
  const act = new Action();
  const rate = (name, label, value, first) => field(label, h("input", { name, value: value ?? "", placeholder: "100/s", autocomplete: "off", spellcheck: "false", "data-first": first }), { hint: t("limit.hint") });
  const ok = await dialog({
    title: t("limit.set"), confirm: t("set"),
    body: [h("div.row", {}, appField(ctx, l?.app), field(t("endpoint"), h("input", { name: "endpoint", value: l?.endpoint ?? "", required: true, placeholder: "messages.users", autocomplete: "off", spellcheck: "false", readOnly: Boolean(l) }))),
      h("div.row", {}, rate("calls", t("limit.calls.label"), l?.limit?.calls, true), rate("messages", t("limit.messages.label"), l?.limit?.messages)), reason()],
    submit: (data) => act.send("PUT", path`/limits/${data.get("app")}/${data.get("endpoint").trim()}`, { limit: { calls: data.get("calls").trim(), messages: data.get("messages").trim() || undefined }, reason: data.get("reason").trim() }),
  });
  if (ok) {
    announce(t("limit.done"), "good");
    await ctx.reload();
  }
}

async function clearLimit(ctx, l) {
  const act = new Action();
  const ok = await dialog({
    title: t("limit.clear"), confirm: t("limit.clear"), body: [h("p", {}, code(l.app), " / ", code(l.endpoint)), h("p.muted", {}, t("limit.clear.text"))],
    submit: () => act.send("DELETE", path`/limits/${l.app}/${l.endpoint}`),
  });
  if (ok) {
    announce(t("limit.cleared"), "good");
    await ctx.reload();
  }
}

