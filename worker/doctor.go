package worker

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/imqueue/emq/dlq"
	"github.com/imqueue/emq/errclass"
	"github.com/imqueue/emq/tasks"
	"github.com/imqueue/emq/worker/easemob"
)

const (
	// examineTimeout bounds each request to an app's host.
	examineTimeout = 5 * time.Second
	// examineMost is how many apps are looked at at the same time.
	examineMost = 8
	// slowHost is a round trip to an app's host from which on calls take longer than
	// the network can be the reason for.
	slowHost = time.Second
	// certificateWarn is how long before its end a host's certificate should have been
	// renewed.
	certificateWarn = 14 * 24 * time.Hour
)

// Examine looks at what a worker needs of each app besides Redis: that its host answers,
// how fast, and that its credentials bring a token. For that it makes four plain requests
// and fetches one token for each. An app that has no credentials here is not looked at,
// which is a finding too. Rules judge answers; nil means errclass.Default. No finding
// shows a secret.
func Examine(ctx context.Context, apps []App, rules *errclass.Table) []dlq.Finding {
	if len(apps) == 0 {
		return []dlq.Finding{notConfigured("", errclass.Text{En: "no app is configured here", Zh: "此处未配置任何 app"})}
	}
	if rules == nil {
		rules = errclass.Default()
	}
	found := make([][]dlq.Finding, len(apps))
	var group errgroup.Group
	group.SetLimit(examineMost)
	for i, app := range apps {
		group.Go(func() error {
			found[i] = examineApp(ctx, app, rules)
			return nil
		})
	}
	_ = group.Wait() // none fails
	var all []dlq.Finding
	for _, list := range found {
		all = append(all, list...)
	}
	return all
}

func examineApp(ctx context.Context, app App, rules *errclass.Table) []dlq.Finding {
	if app.Key == "" || app.URL == "" || app.ClientID == "" || app.ClientSecret == "" {
		return []dlq.Finding{notConfigured(app.Alias, errclass.Text{
			En: "its app_key, easemob_url, client_id or client_secret is missing here", Zh: "此处缺少其 app_key、easemob_url、client_id 或 client_secret",
		})}
	}
	client, err := easemob.New(easemob.Config{
		URL: app.URL, AppKey: app.Key, ClientID: app.ClientID, ClientSecret: app.ClientSecret, Timeout: examineTimeout,
	})
	if err != nil {
		return []dlq.Finding{notServable(app, err)}
	}
	defer client.Close()
	probe, err := client.Probe(ctx)
	if err != nil {
		return []dlq.Finding{unreached(app, err)}
	}
	findings := []dlq.Finding{reached(app, probe)}
	if !probe.CertificateEnds.IsZero() {
		findings = append(findings, certified(app, time.Until(probe.CertificateEnds), probe.CertificateEnds))
	}
	return append(findings, credentials(ctx, app, client, rules))
}

func notConfigured(alias string, why errclass.Text) dlq.Finding {
	return dlq.Finding{
		Check: "settings", App: alias, Level: dlq.LevelUnknown,
		What: errclass.Text{En: why.En + ": host and credentials could not be checked", Zh: why.Zh + "：无法检查主机与凭据"},
		Mend: errclass.Text{
			En: "Run it with the settings of a worker (emq.yaml or its EMQ_ variables), on a worker's machine.", Zh: "请在 worker 所在主机上，用 worker 的配置（emq.yaml 或 EMQ_ 变量）运行。",
		},
	}
}

// notServable is about an app with which no worker would start.
func notServable(app App, err error) dlq.Finding {
	why := tasks.Printable(err.Error(), 512)
	return dlq.Finding{
		Check: "settings", App: app.Alias, Level: dlq.LevelFail,
		What: errclass.Text{En: "its settings can't be used: " + why, Zh: "配置不可用：" + why},
		Cost: errclass.Text{En: "No worker with these settings starts: nothing is delivered, of any app.", Zh: "使用此配置的 worker 无法启动：所有 app 都不会投递。"},
		Mend: errclass.Text{
			En: "Correct app_key, easemob_url, client_id and client_secret of the app, as the console shows them.",
			Zh: "请按控制台所示更正该 app 的 app_key、easemob_url、client_id 和 client_secret。",
		},
	}
}

func unreached(app App, err error) dlq.Finding {
	f := dlq.Finding{
		Check: "host", App: app.Alias, Level: dlq.LevelFail,
		What: errclass.Text{
			En: app.URL + " can't be reached: " + tasks.Printable(err.Error(), 512), Zh: "无法访问 " + app.URL + "：" + tasks.Printable(err.Error(), 512),
		},
		Cost: errclass.Text{
			En: "No call of the app gets through from this machine: tasks wait, and end as dead letters when their age limit is spent. Its credentials were not tried.",
			Zh: "该 app 的调用无法从本机发出：任务等待，超过时限后成为死信。凭据未检查。",
		},
		Mend: unreachedOther,
	}
	if e, ok := errors.AsType[*easemob.Error](err); ok {
		if mend, known := unreachedHow[e.Transport]; known {
			f.Mend = mend
		}
	}
	return f
}

// unreachedHow is how to mend it that a host can't be reached, by how it fails.
var unreachedHow = map[easemob.Transport]errclass.Text{
	easemob.TransportDNS: {
		En: "The host has no address here: correct easemob_url (the console shows the data centre's), or the machine's DNS.",
		Zh: "无法解析主机：请更正 easemob_url（控制台中有数据中心地址）或本机 DNS。",
	},
	easemob.TransportTLS: {
		En: "The TLS handshake fails: look at the host's certificate, at this machine's clock and CA certificates, and at proxies between.",
		Zh: "TLS 握手失败：请检查对方证书、本机时钟与 CA 证书，以及中间的代理。",
	},
	easemob.TransportTimeout: {
		En: "Nothing answers within " + examineTimeout.String() + ": look at firewalls, the proxy (HTTPS_PROXY) and the vendor's status page.",
		Zh: examineTimeout.String() + " 内无应答：请检查防火墙、代理（HTTPS_PROXY）以及厂商状态页。",
	},
}

var unreachedOther = errclass.Text{
	En: "Correct easemob_url, and look at the network, the proxy (HTTPS_PROXY) and the vendor's status page.",
	Zh: "请更正 easemob_url，并检查网络、代理（HTTPS_PROXY）以及厂商状态页。",
}

func reached(app App, p easemob.Probe) dlq.Finding {
	took := p.Latency.Round(100 * time.Microsecond).String()
	f := dlq.Finding{Check: "host", App: app.Alias, Level: dlq.LevelOK, What: errclass.Text{
		En: fmt.Sprintf("%s answers in %s", app.URL, took), Zh: fmt.Sprintf("%s 应答耗时 %s", app.URL, took),
	}}
	if p.Latency > slowHost {
		f.Level = dlq.LevelWarn
		f.Cost = errclass.Text{En: "Each call takes at least as long: with the same concurrency fewer are made.", Zh: "每次调用至少耗时这么久：同样的并发下调用更少。"}
		f.Mend = errclass.Text{
			En: "Run workers near the data centre, raise concurrency, and look at the proxy and at the vendor's status page.",
			Zh: "请将 worker 部署在数据中心附近、提高 concurrency，并检查代理和厂商状态页。",
		}
	}
	return f
}

// certified looks at the certificate of an app's host.
func certified(app App, left time.Duration, ends time.Time) dlq.Finding {
	day := ends.UTC().Format(time.DateOnly)
	f := dlq.Finding{Check: "certificate", App: app.Alias, Level: dlq.LevelOK, What: errclass.Text{
		En: "the host's certificate is good until " + day, Zh: "主机证书有效期至 " + day,
	}}
	if left < certificateWarn {
		f.Level = dlq.LevelWarn
		f.Cost = errclass.Text{En: "From then on no call of the app gets through.", Zh: "到期后该 app 的调用将全部失败。"}
		f.Mend = errclass.Text{
			En: "Tell who runs the host (the vendor, or your proxy) to renew it; a machine whose clock is wrong sees this as well.",
			Zh: "请联系主机的运营方（厂商或自建代理）续期；本机时钟错误也会出现此提示。",
		}
	}
	return f
}

// credentials tries to get a token, and judges as the worker does what comes instead.
func credentials(ctx context.Context, app App, client *easemob.Client, rules *errclass.Table) dlq.Finding {
	life, err := client.CheckToken(ctx)
	if err == nil {
		f := dlq.Finding{Check: "credentials", App: app.Alias, Level: dlq.LevelOK, What: errclass.Text{
			En: "the credentials bring a token that does not expire", Zh: "凭据可获取 token，且不过期",
		}}
		if life > 0 {
			shown := life.Round(time.Second).String()
			f.What = errclass.Text{En: "the credentials bring a token, good for " + shown, Zh: "凭据可获取 token，有效期 " + shown}
		}
		return f
	}
	judge := &Worker{}
	judge.SetRules(rules)
	v := judge.classify(&attempt{noToken: true, evidence: tokenEvidence(err)})
	said := v.Rule
	if v.Status != 0 {
		said = fmt.Sprintf("%s; %d %s: %s", v.Rule, v.Status, v.Error, v.Description)
	}
	f := dlq.Finding{
		Check: "credentials", App: app.Alias, Level: dlq.LevelFail,
		What: errclass.Text{En: "the credentials bring no token: " + v.Why.En + " (" + said + ")", Zh: "凭据未能获取 token：" + v.Why.Zh + "（" + said + "）"},
		Cost: errclass.Text{
			En: "No call of the app can be made: a worker holds it and its tasks wait.", Zh: "该 app 无法调用：worker 会将其暂停，任务等待。",
		},
		Mend: forApp(v.Advice, app.Alias),
	}
	if v.Class == errclass.ClassRetryable {
		f.Level = dlq.LevelWarn
		f.Cost = errclass.Text{En: "While this lasts no call of the app can be made; its tasks wait and are tried again.", Zh: "在此期间该 app 无法调用；任务等待并重试。"}
	}
	return f
}

// tokenEvidence is what a worker's call that gets no token has to show; see Worker.call.
func tokenEvidence(err error) errclass.Evidence {
	failed, ok := errors.AsType[*easemob.Error](err)
	if !ok {
		return errclass.Evidence{Transport: errclass.TransportOther}
	}
	switch {
	case failed.Status >= 200 && failed.Status < 300:
		return errclass.Evidence{Transport: errclass.TransportOther}
	case failed.Transport != "":
		return errclass.Evidence{Transport: errclass.Transport(failed.Transport)}
	}
	return errclass.Evidence{
		Status: failed.Status, Body: failed.Body,
		FreshToken: failed.Status == http.StatusUnauthorized || failed.Status == http.StatusForbidden, // there is no token to renew
	}
}
