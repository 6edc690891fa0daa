package easemob

import (
	"strings"
	"testing"
	"time"
)

func validConfig() Config {
	return Config{URL: "http://127.0.0.1:8080", AppKey: "org#app", ClientID: testID, ClientSecret: testSecret}
}

func TestNewFillsDefaults(t *testing.T) {
	t.Parallel()
	cfg := validConfig().withDefaults()
	if cfg.Timeout != TimeoutDefault || cfg.MaxConns != MaxConnsDefault || cfg.TokenRejected == nil {
		t.Errorf("got %v", cfg)
	}
	if !cfg.TokenRejected(401, nil) || cfg.TokenRejected(403, nil) || cfg.TokenRejected(200, nil) {
		t.Error("the default must reject the token for 401 alone")
	}
}

func TestNewAccepts(t *testing.T) {
	t.Parallel()
	for _, change := range []func(*Config){
		func(*Config) {},
		func(c *Config) { c.URL = "https://a1.easemob.com" },
		func(c *Config) { c.URL = "https://a1.easemob.com/" },
		func(c *Config) { c.URL = "http://[::1]:80" },
		func(c *Config) { c.AppKey = "1122-Ab.c_#x" },
		func(c *Config) { c.Timeout = TimeoutMin; c.MaxConns = 1 },
		func(c *Config) { c.Timeout = TimeoutMax; c.MaxConns = MaxConnsMax },
	} {
		cfg := validConfig()
		change(&cfg)
		c, err := New(cfg)
		if err != nil {
			t.Errorf("%v: %v", cfg, err)
			continue
		}
		c.Close()
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		field  string
		change func(*Config)
	}{
		{"URL is required", func(c *Config) { c.URL = "" }},
		{"URL must be", func(c *Config) { c.URL = "a1.easemob.com" }},
		{"URL must be", func(c *Config) { c.URL = "ftp://a1.easemob.com" }},
		{"URL must be", func(c *Config) { c.URL = "https:a1.easemob.com" }},
		{"URL must be", func(c *Config) { c.URL = "http://" }},
		{"URL must be", func(c *Config) { c.URL = "http://:80" }},
		{"URL must be", func(c *Config) { c.URL = "http://h:" }},
		{"URL must be", func(c *Config) { c.URL = "http://h:0" }},
		{"URL must be", func(c *Config) { c.URL = "http://h:65536" }},
		{"URL must be", func(c *Config) { c.URL = "http://u:" + testSecret + "@h\n" }},
		{"URL must not hold a user name", func(c *Config) { c.URL = "http://u:pass" + "@h" }},
		{"URL must not hold a path", func(c *Config) { c.URL = "http://h/org/app" }},
		{"URL must not hold a path", func(c *Config) { c.URL = "http://h//" }},
		{"URL must not hold a query", func(c *Config) { c.URL = "http://h?x=y" }},
		{"URL must not hold a query", func(c *Config) { c.URL = "http://h?" }},
		{"URL must not hold a query", func(c *Config) { c.URL = "http://h#x" }},
		{"URL must not hold a query", func(c *Config) { c.URL = "http://h#" }},
		{"AppKey", func(c *Config) { c.AppKey = "" }},
		{"AppKey", func(c *Config) { c.AppKey = "org" }},
		{"AppKey", func(c *Config) { c.AppKey = "org#" }},
		{"AppKey", func(c *Config) { c.AppKey = "#app" }},
		{"AppKey", func(c *Config) { c.AppKey = "org#app#x" }},
		{"AppKey", func(c *Config) { c.AppKey = "org/x#app" }},
		{"AppKey", func(c *Config) { c.AppKey = "org#a?b" }},
		{"AppKey", func(c *Config) { c.AppKey = "..#app" }},
		{"AppKey", func(c *Config) { c.AppKey = "org#app\n" }},
		{"AppKey", func(c *Config) { c.AppKey = "org#" + strings.Repeat("a", appKeyPartMaxBytes+1) }},
		{"ClientID is required", func(c *Config) { c.ClientID = "" }},
		{"ClientID", func(c *Config) { c.ClientID = " " + testID }},
		{"ClientSecret is required", func(c *Config) { c.ClientSecret = "" }},
		{"ClientSecret must be ASCII", func(c *Config) { c.ClientSecret += "\n" }},
		{"ClientSecret must be ASCII", func(c *Config) { c.ClientSecret += "\xff" }},
		{"ClientSecret has 513 bytes, at most 512", func(c *Config) { c.ClientSecret = strings.Repeat("s", 513) }},
		{"Timeout is 99ms, must be 100ms to 5m0s", func(c *Config) { c.Timeout = TimeoutMin - time.Millisecond }},
		{"Timeout", func(c *Config) { c.Timeout = -1 }},
		{"Timeout", func(c *Config) { c.Timeout = TimeoutMax + 1 }},
		{"MaxConns is -1, must be 1 to 10000", func(c *Config) { c.MaxConns = -1 }},
		{"MaxConns", func(c *Config) { c.MaxConns = MaxConnsMax + 1 }},
	} {
		cfg := validConfig()
		row.change(&cfg)
		c, err := New(cfg)
		if err == nil {
			c.Close()
			t.Errorf("%v: accepted, want %q", cfg, row.field)
			continue
		}
		text := err.Error()
		if !strings.HasPrefix(text, "easemob: "+row.field) {
			t.Errorf("%q, want it to begin with %q", text, row.field)
		}
		if strings.Contains(text, "canary") || strings.Contains(text, "sss") || strings.Contains(text, "pass@") {
			t.Errorf("%q shows a secret", text)
		}
	}
}

func TestNewReportsAllFields(t *testing.T) {
	t.Parallel()
	_, err := New(Config{Timeout: 1, MaxConns: -1})
	for _, field := range []string{"URL", "AppKey", "ClientID", "ClientSecret", "Timeout", "MaxConns"} {
		if err == nil || !strings.Contains(err.Error(), "easemob: "+field+" ") {
			t.Errorf("%v: %s isn't named", err, field)
		}
	}
}
