// Alerts that are not over, and silences.

import { Action, path } from "/api.js";
import { t } from "/i18n.js";
import { announce, both, button, card, code, dialog, empty, field, h, link, number, pill, reason, say, select, table, time } from "/ui.js";

export async function alerts(ctx) {
  const [{ items }, silences] = await Promise.all([ctx.list("/alerts"), ctx.list("/silences")]);
  ctx.every(20, ctx.reload);
  return {
    title: t("nav.alerts"),
    body: [
      h("div.head", {}, h("h1", {}, t("nav.alerts")), ctx.can("operate") && button(t("silence.new"), () => silence(ctx, {}), {})),
      items.length ? h("ul.cards", {}, items.map((record) => alertCard(record.notice ? { ...record.notice, told: record.told } : record))) : empty(t("alerts.none")),
      card(t("silences"), silences.items.length ? table(t("silences"), [{ label: t("f.app") }, { label: t("f.cause") }, { label: t("until") }, { label: t("by") }, { label: t("reason") }, { label: t("actions"), hide: true, cls: "do" }], silences.items.map((s) => ({
        cells: [code(s.app), s.cause ? link(path`/causes/${s.app}/${s.cause}`, code(s.cause)) : t("silence.all"), time(s.until), say(s.by), say(s.reason), ctx.can("operate") && button(t("silence.end"), () => end(ctx, s), { tone: "small", "aria-label": `${t("silence.end")} ${s.app} ${s.cause ?? ""}` })],
      }))) : empty(t("silences.none"))),
    ],
  };
}

function alertCard(n) {
  return h(`li.card.alert.${n.severity === "critical" ? "critical" : "warning"}`, { "data-row": true },
    h("div.head", {}, h("h2", {}, n.cause ? h("a", { href: path`/causes/${n.app}/${n.cause}`, "data-open": true }, both(n.title)) : both(n.title)), h("span", {}, pill("severity", n.severity), " ", pill("alert", n.event))),
    h("p.meta", {}, n.app && [code(n.app), " · "], t("since"), " ", time(n.since), n.count > 0 && [" · ", t("count"), " ", number(n.count)], n.told && [" · ", t("alert.told"), " ", time(n.told)]),
    n.facts?.length > 0 && h("dl.facts", {}, n.facts.map((f) => h("div", {}, h("dt", {}, both(f.name)), h("dd", {}, both(f.value))))),
    n.advice && h("p.advice", {}, both(n.advice)), n.command && h("pre", {}, say(n.command)));
}

// silence asks for how long alerts about an app or a cause are not to be sent.
export async function silence(ctx, { app, cause }) {
  const act = new Action();
  const apps = (ctx.session.apps ?? []).map((a) => [a, a]);
  const ok = await dialog({
    title: t("silence.new"), confirm: t("silence.do"),
    body: [h("p.muted", {}, t("silence.text")),
      h("div.row", {}, app ? field(t("f.app"), h("input", { name: "app", value: app, readOnly: true })) : field(t("f.app"), apps.length ? select("app", apps, apps[0][0]) : h("input", { name: "app", required: true })),
        field(t("f.cause"), h("input", { name: "cause", value: cause ?? "", readOnly: Boolean(cause), autocomplete: "off", spellcheck: "false" }), { hint: cause ? undefined : t("silence.cause.hint") })),
      field(t("silence.for"), select("for", [["1800", "30m"], ["3600", "1h"], ["7200", "2h"], ["28800", "8h"], ["86400", "1d"], ["604800", "7d"]], "7200"), { wide: true }), reason()],
    submit: (data) => act.send("POST", "/silences", { app: data.get("app"), cause: data.get("cause").trim() || undefined, for_seconds: Number(data.get("for")), reason: data.get("reason").trim() }),
  });
  if (!ok) return;
  announce(t("silence.done"), "good");
  await ctx.reload();
}

async function end(ctx, s) {
  const act = new Action();
  const ok = await dialog({ title: t("silence.end"), confirm: t("silence.end"), body: h("p", {}, code(s.app), " ", s.cause && code(s.cause), " · ", say(s.reason)), submit: () => act.send("DELETE", path`/silences/${s.app}/${s.id}`) });
  if (ok) {
    announce(t("silence.ended"), "good");
    await ctx.reload();
  }
}
