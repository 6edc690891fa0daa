package alert

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/imqueue/emq/errclass"
)

const (
	// sendFor bounds the tries to send one notice to one channel.
	sendFor = 2 * time.Minute
	// sendAgainAfter is how long a notice waits that no channel took.
	sendAgainAfter = 2 * time.Minute
	// giveUpAfter is how old a notice that no channel takes may become. What lasts is told
	// of again.
	giveUpAfter = time.Hour
)

// deliver sends a notice to all channels, each with its own tries. It says whether one of
// them took it, or there is none. When a channel takes none any more, another is told.
func (a *Alerts) deliver(ctx context.Context, n Notice) bool {
	failed := make([]error, len(a.cfg.Channels))
	var tries sync.WaitGroup
	for i, c := range a.cfg.Channels {
		tries.Go(func() { failed[i] = a.try(ctx, c, n) })
	}
	tries.Wait()
	taken := len(failed) == 0
	for _, err := range failed {
		taken = taken || err == nil
	}
	for i, c := range a.cfg.Channels {
		if failed[i] != nil {
			a.log.Error("an alert was not sent", "channel", c.Name(), "alert", n.ID, "error", failed[i])
		}
		if a.turned(c, failed[i] != nil) && taken {
			a.tellOfChannel(ctx, c, n, failed)
		}
	}
	return taken
}

// turned notes whether a channel fails, and says whether that it does is new.
func (a *Alerts) turned(c *Channel, fails bool) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	fresh := fails && !a.failing[c.Name()]
	a.failing[c.Name()] = fails
	return fresh
}

// tellOfChannel tells the first of the other channels that one failed.
func (a *Alerts) tellOfChannel(ctx context.Context, broken *Channel, n Notice, failed []error) {
	var reason string
	for i, c := range a.cfg.Channels {
		if c == broken {
			reason = failed[i].Error()
		}
	}
	now := a.now()
	note := Notice{
		ID: fmt.Sprintf("channel:%s:%d", broken.Name(), now.UnixMilli()), Fingerprint: "channel:" + broken.Name(), Event: EventNew,
		Severity: SeverityWarning, Subject: SubjectChannel, App: n.App, Since: now, At: now, Command: "emq alert test " + broken.Name(),
		Title:  errclass.Text{En: "alerts to " + broken.Name() + " fail", Zh: "告警渠道 " + broken.Name() + " 发送失败"},
		Facts:  []Fact{fact("reason", "原因", reason), {errclass.Text{En: "it did not get", Zh: "未送达的告警"}, n.Title}},
		Advice: errclass.Text{En: "Mend its address or secret, or the way to it, then test it.", Zh: "修正其地址、密钥或网络，然后测试。"},
	}
	a.say(ctx, note)
	for i, c := range a.cfg.Channels {
		if failed[i] == nil && a.try(ctx, c, note) == nil {
			return
		}
	}
}

// try sends a notice to a channel until it is taken, refused for good, or too late. The
// error is that of the last try.
func (a *Alerts) try(ctx context.Context, c *Channel, n Notice) (err error) {
	pace := backoff.NewExponentialBackOff()
	pace.InitialInterval, pace.MaxInterval = time.Second, 30*time.Second
	_, _ = backoff.Retry(ctx, func() (struct{}, error) {
		err = c.Send(ctx, n)
		a.metrics.sent(c, err)
		failure, failed := errors.AsType[*SendError](err)
		switch {
		case failed && !failure.Again:
			return struct{}{}, backoff.Permanent(err)
		case failed && failure.After > 0:
			return struct{}{}, &backoff.RetryAfterError{Duration: failure.After}
		}
		return struct{}{}, err
	}, backoff.WithBackOff(pace), backoff.WithMaxElapsedTime(a.sendFor))
	return err
}

// refresh sends what lasts to the channels that want to hear of it all the time.
func (a *Alerts) refresh(ctx context.Context, lasting []Notice) {
	for _, c := range a.cfg.Channels {
		if c.kind.refresh == nil || len(lasting) == 0 {
			continue
		}
		if err := c.post(ctx, c.kind.refresh(c, lasting)); err != nil {
			a.log.Warn("could not keep alerts up", "channel", c.Name(), "error", err)
		}
	}
}
