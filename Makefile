# Everything a person or a machine does with this repository. `make` lists it.
# Needs Go, git and make; tools are built from pinned versions into .cache.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

GO        ?= go
BIN       := $(CURDIR)/.cache/bin
MODULES   := ./proto/... ./pkg/... ./services/...
# Packages tested at once: tests start servers, more of them only wait longer.
P         ?= 2
# Parallel tests of a package at once: they mostly wait.
PARALLEL  ?= 4
# Further arguments of `go test`: make test TEST='-run TestOrder -v'
TEST      ?=
FUZZTIME  ?= 20s
# Stories that `make processes` tells; those with processes of their own in any case are told by `make test`.
STORIES   ?= ^Test(P[0-9]+)?S([1-9]|1[0-9]|25|26)[A-Z]
# Version of axe-core, which looks at the accessibility of pages.
AXE       ?= 4.10.3
# Flags of the bench, see `bin/bench -help`.
BENCH     ?=
# Flags of the simulation, see services/simulation.
SIMULATE  ?= -histories 2000
STANDALONE = $(GO) run ./services/standalone/cmd/standalone

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z\/-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## one order from creation to licence, mail and webhook, then exit
	$(STANDALONE) demo

.PHONY: run
run: ## the whole system in one process, with the sandbox, until ^C
	$(STANDALONE) run

.PHONY: build
build: ## all programs, into bin/
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/ $$($(GO) list -f '{{if eq .Name "main"}}{{.ImportPath}}{{end}}' ./services/...)

.PHONY: test
test: ## the tests of all modules
	$(GO) test -p $(P) -parallel $(PARALLEL) -timeout 20m $(TEST) $(MODULES)

.PHONY: processes
processes: ## the stories STORIES of services/e2e again, but for those in a browser, with a process per service and a nats-server
	QUITTANCE_TEST_MODE=processes $(GO) test -count=1 -timeout 15m -run '$(STORIES)' -skip 'InTheBrowser$$' $(TEST) ./services/e2e

.PHONY: axe
axe: .cache/axe/node_modules/axe-core/axe.min.js ## axe-core for the tests of pages, into .cache (needs npm)

.cache/axe/node_modules/axe-core/axe.min.js:
	mkdir -p .cache/axe
	npm install --prefix .cache/axe --no-save --ignore-scripts --no-audit --no-fund axe-core@$(AXE)

.PHONY: screenshots
screenshots: ## pictures of all pages and mails of customers (phone and desktop, light and dark, English and German), into .cache/screenshots (needs chromium)
	mkdir -p .cache/screenshots
	QUITTANCE_TEST_SCREENSHOTS=$(CURDIR)/.cache/screenshots $(GO) test -count=1 -timeout 10m -run '^Test(PagesOfEveryKind|MailsInTheBrowser|StrangeNamesInTheBrowser)$$' -v ./services/e2e

.PHONY: race
race: ## the tests of all modules under the race detector (needs a C compiler), without the longest; of services/e2e the stories S1 to S7
	CGO_ENABLED=1 $(GO) test -race -short -p $(P) -timeout 20m $(TEST) $$($(GO) list $(MODULES) | grep -v '/services/e2e$$')
	CGO_ENABLED=1 $(GO) test -race -short -timeout 20m -run '^Test(P[0-9]+)?S[1-7][A-Z]' $(TEST) ./services/e2e

.PHONY: ferret
ferret: ## the MongoDB engine on FerretDB, a module of its own (large dependencies), and one story of the whole system on it
	cd pkg/docstore/mongo/ferrettest && GOWORK=off $(GO) vet . && GOWORK=off $(GO) test -short -timeout 5m $(TEST) .
	QUITTANCE_TEST_FERRET=1 $(GO) test -timeout 10m -run '^TestS1MongoDBWire$$' ./services/e2e

.PHONY: simulate
simulate: ## whole histories in virtual time: SIMULATE='-histories 5000 -seed 1', or '-duration 10m'; one alone, step by step: '-histories 1 -seed N'
	$(GO) test -v -count=1 -timeout 0 -run '^TestSimulate$$' ./services/simulation $(SIMULATE)

.PHONY: chaos
chaos: ## CHAOS (2m) of faults of SEED (1) in everything that can fail while CUSTOMERS (6) buy from two replicas of each service on NODES (1, or 3) of NATS, then the promises are checked; SABOTAGE=all: whether it notices broken ones
	cd services && $(GO) test ./e2e -v -timeout 60m -run '^TestChaos$(if $(SABOTAGE),NoticesSabotage)$$' -chaos $(or $(CHAOS),2m) -chaosseed $(or $(SEED),1) \
		-chaosbuyers $(or $(CUSTOMERS),6) -chaosnodes $(or $(NODES),1) -chaossabotage '$(SABOTAGE)'

.PHONY: soak
soak: ## SOAK (2000) orders over all providers, 30 % of the payments with faults of SEED (1); every order must agree with the books
	cd services && $(GO) test ./e2e -run 'TestSoak$$' -v -timeout 60m -soak $(or $(SOAK),2000) -soakseed $(or $(SEED),1)

.PHONY: npm
npm: ## the npm packages that check our webhooks in tests, into .cache/npm (needs npm and its registry)
	@mkdir -p .cache/npm && cp scripts/tools/webhooks/package.json scripts/tools/webhooks/package-lock.json .cache/npm/
	cd .cache/npm && timeout 120 npm ci --no-audit --no-fund --ignore-scripts

.PHONY: fuzz
fuzz: ## every fuzz test for FUZZTIME (20s, or 10000x)
	GO=$(GO) scripts/fuzz.sh $(FUZZTIME)

.PHONY: bench
bench: ## what the system can do on this machine, in a quarter of an hour: BENCH='-rows floors,orders', '-rows steady', '-markdown', '-json FILE', '-sizes 1000,100000,1000000', '-quick'
	$(GO) build -trimpath -o bin/ ./services/bench/cmd/bench
	bin/bench $(BENCH)

.PHONY: bench-docstore
bench-docstore: ## what the document stores can do on this machine
	$(GO) test -run '^$$' -bench . -benchmem -timeout 20m ./pkg/docstore/...

.PHONY: lint
lint: $(BIN)/golangci-lint $(BIN)/buf ## format, lint, the repository's rules, contracts
	@unformatted=$$(gofmt -l pkg services proto); \
	if [ -n "$$unformatted" ]; then printf 'not formatted, run gofmt -w:\n%s\n' "$$unformatted"; exit 1; fi
	$(BIN)/golangci-lint run -j $(P) $(MODULES)
	$(GO) test -count=1 ./pkg/repotest
	cd proto && $(BIN)/buf lint
	scripts/breaking.sh $(BIN)/buf

.PHONY: gen
gen: $(BIN)/buf ## generate code and the schemas of webhooks from the contracts
	cd proto && GOWORK=off $(BIN)/buf generate
	@$(GO) test ./services/notification/internal/payload -run '^TestPublishedSchemas$$' -update

.PHONY: gen-check
gen-check: gen ## fail if the committed generated code is not what gen makes
	@changed=$$(git status --porcelain -- proto/gen docs/schemas); \
	if [ -n "$$changed" ]; then printf 'generated code is stale, commit what make gen made:\n%s\n' "$$changed"; exit 1; fi

.PHONY: alone
alone: ## build every module without the workspace
	scripts/alone.sh

.PHONY: clean
clean: ## remove what was built; data of `make run` stays
	rm -rf bin .cache

$(BIN)/golangci-lint: scripts/tools/lint/go.mod scripts/tools/lint/go.sum
	GOWORK=off $(GO) build -C scripts/tools/lint -o $@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

bin/grpcurl: ## a gRPC client for the command line, into bin/
bin/grpcurl: scripts/tools/grpcurl/go.mod scripts/tools/grpcurl/go.sum
	GOWORK=off $(GO) build -C scripts/tools/grpcurl -o $(CURDIR)/$@ github.com/fullstorydev/grpcurl/cmd/grpcurl

$(BIN)/buf: scripts/tools/buf/go.mod scripts/tools/buf/go.sum
	GOWORK=off $(GO) build -C scripts/tools/buf -o $@ github.com/bufbuild/buf/cmd/buf
