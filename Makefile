# Corral. `make run` and `make test` need make, and on Debian as root install
# what else is missing: Go (scripts/go) and a C compiler (scripts/need).

GO       ?= $(CURDIR)/scripts/go
FUZZTIME ?= 2s
ORIGIN   ?=
NODES    ?=
BENCH    ?=
SOAKTIME ?= 10m
SEEDS    ?= 10000
SEED     ?=
BREAK    ?=
POSTS    ?=

.DEFAULT_GOAL := help
.PHONY: help run popular-posts build test unit faults lint model sim examples fuzz bench bench-http bench-cluster bench-store bench-smoke soak docs

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

run: ## Start corral serve before a demo shop and show a stampede (NODES=3: a cluster; ORIGIN=http://... for your own)
	@scripts/run $(if $(ORIGIN),--origin "$(ORIGIN)") $(if $(NODES),--nodes "$(NODES)")

popular-posts: ## What strategies of caching cost PostgreSQL and Redis under 1,000 callers (POSTS="-strategies xfetch,corral")
	@scripts/need redis-server postgres
	cd examples && $(GO) build -buildvcs=false -o ../bin/popular-posts ./popular-posts
	cd examples && $(GO) build -buildvcs=false -o ../bin/popular-posts-stampede ./popular-posts/stampede
	@bin/popular-posts-stampede $(POSTS)

build: ## Build bin/corral
	@mkdir -p bin
	$(GO) build -o bin/corral ./cmd/corral

test: ## All tests: format, lint, unit tests with -race, examples, bench smoke, fuzzing
	@scripts/need gcc spin
	@test "$$(id -u)" != 0 || scripts/need ip nft
	@$(MAKE) --no-print-directory lint unit examples bench-smoke
	@echo "faults, which mostly wait, with models and fuzzing on what processors they leave: each is shown when it ends"
	@$(MAKE) --no-print-directory -j 2 --output-sync=target faults model fuzz
	@echo "all tests passed"

unit: ## Unit tests with the race detector, and crowds in full size without it
	@scripts/need redis-server redis-sentinel postgres
	$(GO) test -race $$($(GO) list ./... | grep -v -e /coordinator/cluster -e '/server$$')
	$(GO) test -race -p 1 ./coordinator/cluster/... ./server # nodes lose their leases where processors are short
	$(GO) test -run 'TestFault|TestAttack' ./httpcache
	$(GO) test ./store/disk # what takes minutes with the race detector, which Pebble checks itself under
	$(GO) test -tags sim ./coordinator/cluster/sim/...

faults: ## Clusters of real processes that are killed, stopped and cut off, in the short form
	@test "$$(id -u)" != 0 || scripts/need ip nft
	$(GO) test -timeout 30m ./coordinator/cluster/faults

model: ## The models of the cluster's protocol, exhaustively, and every rule broken
	@nice -n 19 scripts/model

sim: ## The cluster's core in the simulator (SEEDS=10000; SEED=n replays one; BREAK=rule switches one off)
	@scripts/sim "$(SEEDS)" "$(SEED)" "$(BREAK)"

lint: ## gofmt, vet, staticcheck
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "not formatted: $$unformatted"; exit 1; }
	$(GO) vet ./...
	$(GO) tool -modfile=tools/go.mod staticcheck ./...
	cd examples && $(GO) vet ./...
	cd bench && $(GO) vet ./...

examples: ## Build and run the examples
	@scripts/need redis-server postgres
	cd examples && $(GO) test -race ./...
	scripts/run --once
	scripts/run --once --nodes 3

bench-smoke: ## See that the benchmarks run and that what they assert holds (no times)
	@scripts/need redis-server
	cd bench && $(GO) test ./...

fuzz: ## Fuzz every target for FUZZTIME each
	nice -n 19 scripts/fuzz $(FUZZTIME)

bench: ## Corral and its rivals side by side, with ratios
	cd bench && $(GO) run ./cmd/compare

bench-http: ## Corral serve and its rivals side by side, with ratios and bars (BENCH="-rows hit,cold -runs 5")
	@scripts/need gcc nginx varnishd traffic_server squid wrk npm
	cd bench/cmd/http/workerd && npm ci --ignore-scripts --no-audit --no-fund
	cd bench && $(GO) run ./cmd/http $(BENCH)

bench-cluster: ## Nodes of a cluster beside gRPC, NATS and groupcache, with ratios and bars (BENCH="-rows one,crowd -runs 3")
	cd bench && $(GO) run ./cmd/cluster $(BENCH)

bench-store: ## redislock beside the lock of tutorials and rueidisaside, and store/disk beside Pebble, with ratios and bars (BENCH="-rows cold,flow -runs 3")
	@scripts/need redis-server
	cd bench && $(GO) run ./cmd/store $(BENCH)

soak: ## What takes longer (SOAKTIME=30m): stress, fuzzing, and real faults, with the table of what they were seen to do
	$(GO) test -race -run 'TestNo|TestBytes' -count=200 -timeout $(SOAKTIME) .
	CORRAL_SOAK=1 $(GO) test -race -run TestFault -timeout $(SOAKTIME) ./httpcache
	scripts/fuzz 30s
	CORRAL_SOAK=$(SOAKTIME) $(GO) test -v -timeout 0 ./coordinator/cluster/faults

docs: ## Write docs/options.md and docs/cache-status.md anew from the code
	$(GO) generate ./internal/docgen
