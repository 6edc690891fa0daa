# What CI runs (.ci/run) and what people run are the same targets.

# The one place that says which linter; `go run` builds it into Go's own cache.
GOLANGCI := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.12.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
# Inputs for each fuzz target. A count, no time: with a time, Go before 1.27
# now and then reports its own deadline as a failure (golang/go#75804).
FUZZTIME  ?= 100000x
TESTFLAGS ?=
BENCH     ?= .
CHAOS     ?= 10m
SEED      ?=
VERSION   ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

.DEFAULT_GOAL := help
.PHONY: help build test race vet fmt fuzz chaos bench lint vuln ci

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

build: ## build bin/emq, the static binary of the container
	CGO_ENABLED=0 go build -trimpath -ldflags "-X main.version=$(VERSION)" -o bin/emq ./cmd/emq

test: vet ## vet and test everything; TESTFLAGS adds flags of go test
	@command -v redis-server >/dev/null || command -v valkey-server >/dev/null || { \
	  echo "NOTE: no redis-server here. The tests that need a real Redis are skipped, or fail if CI=true."; \
	  echo "      To run them: apt-get install redis-server, or: brew install redis. It need not be running."; }
	go test $(TESTFLAGS) ./...

race: ## test with the race detector (needs a C compiler)
	@$(MAKE) --no-print-directory test TESTFLAGS="-race $(TESTFLAGS)"

vet:
	go vet ./...

fmt: ## format the Go files
	gofmt -w .

fuzz: ## try FUZZTIME inputs (100000x) on every fuzz target
	@grep -rn --include='*_test.go' '^func Fuzz' . | \
	  sed -E 's|^(.*)/[^/]*:[0-9]+:func (Fuzz[A-Za-z0-9_]*).*|\1 \2|' | sort | \
	  { failed=0; while read -r dir name; do \
	      echo "go test $$dir -run '^$$' -fuzz '^$$name\$$' -fuzztime $(FUZZTIME)"; \
	      go test "$$dir" -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) </dev/null || failed=1; \
	    done; exit $$failed; }

chaos: ## break everything for CHAOS (10m) under load and account for every task; SEED repeats
	EMQ_CHAOS=$(CHAOS) EMQ_CHAOS_SEED=$(SEED) go test ./worker -run '^TestChaos$$' -count=1 -v -timeout 60m

bench: ## run the benchmarks; BENCH selects by name
	go test -run '^$$' -bench '$(BENCH)' -benchmem ./...

lint: ## run golangci-lint (the first run builds it: about three minutes)
	go run $(GOLANGCI) run ./...

vuln: ## look for known vulnerabilities (asks vuln.go.dev; not part of CI)
	@go run $(GOVULNCHECK) ./... || { echo "make vuln: see above: vulnerabilities, or nothing was checked because vuln.go.dev is out of reach"; exit 1; }

ci: ## everything that CI does
	bash .ci/run
