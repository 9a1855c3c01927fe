# Vibemesh. `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
GO_TEST := go test -race -timeout 10m
BENCH ?= .
FUZZTIME ?= 20s
PEERS := cmd/meshbench/peers # a module of its own: its dependencies are not the program's

# What `make run` starts: unsigned development tokens, on this machine only.
RUN_ADDR ?= 127.0.0.1:8080
RUN_SECRET ?= local-development-secret
APP_ORIGINS ?= http://127.0.0.1:8081,http://localhost:8081

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build vibemesh, sv-cli and meshbench into bin/
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

.PHONY: run
run: build ## Start the whole mesh on this machine, with a page at http://127.0.0.1:8080
	WS_AUTH=$${WS_AUTH:-dev} WS_ADDR=$${WS_ADDR:-$(RUN_ADDR)} WS_PUBLISH_SECRET=$${WS_PUBLISH_SECRET:-$(RUN_SECRET)} \
		WS_ALLOWED_ORIGINS=$${WS_ALLOWED_ORIGINS:-$(APP_ORIGINS)} exec bin/vibemesh run

.PHONY: app
app: ## Serve the demo app at http://127.0.0.1:8081, beside `make run`
	scripts/app

.PHONY: test
test: test-go test-asyncapi test-firebase test-browser test-app test-e2e test-chart test-prometheus test-deploy ## Run every test; installs what they need

.PHONY: test-go
test-go: test/docs/node_modules/.installed ## Unit, property and whole-program tests, under the race detector
	$(GO_TEST) ./...
	cd $(PEERS) && $(GO_TEST) ./...

.PHONY: test-asyncapi
test-asyncapi: test/asyncapi/node_modules/.installed ## The AsyncAPI document, as AsyncAPI's own parser reads it
	cd test/asyncapi && npm test --silent

.PHONY: test-chart
test-chart: ## The Helm chart, on a real kube-apiserver; builds that, Helm and etcd once, which takes minutes
	tools="$$(scripts/ensure-kube)"; cd test/chart && CHART_TOOLS="$$tools" $(GO_TEST) -count=1 # without a package, so that it prints what was accepted

.PHONY: test-prometheus
test-prometheus: ## Rules, dashboard and runbooks, and a real Prometheus that sees what is broken on purpose
	tools="$$(scripts/ensure-prometheus)"; cd test/prometheus && PROMETHEUS_DIR="$$tools" go test -timeout 10m -count=1 ./...

.PHONY: test-deploy
test-deploy: ## The image and the mesh of deploy/, built and run without Docker
	scripts/ensure-haproxy
	cd test/deploy && go test -count=1 -timeout 20m ./...

.PHONY: test-firebase
test-firebase: test/firebase/node_modules/.installed ## Tokens of the real Firebase Auth emulator
	$(GO_TEST) -tags firebase -count=1 ./test/firebase

.PHONY: test-browser
test-browser: build test/browser/node_modules/.installed ## The page, in a real Chromium
	scripts/ensure-chromium
	cd test/browser && CHROMIUM="$$(../../scripts/ensure-chromium)" VIBEMESH_BIN="$(CURDIR)/bin/vibemesh" npm test --silent

# Nothing of the app's tools asks the network for anything once it is installed.
test-app test-e2e export-app: export CI = 1
test-app test-e2e export-app: export EXPO_NO_TELEMETRY = 1
test-app test-e2e export-app: export EXPO_OFFLINE = 1

.PHONY: test-app
test-app: build frontend/node_modules/.installed ## The TypeScript client, and the parts of the app: types, lint, tests, size
	cd frontend/packages/client && npm run --silent typecheck && npm run --silent build && VIBEMESH_BIN="$(CURDIR)/bin/vibemesh" npm test --silent && npm run --silent size
	cd frontend && npm run --silent typecheck && npm run --silent lint && npm test --silent

.PHONY: test-e2e
test-e2e: build frontend/node_modules/.installed test/firebase/node_modules/.installed test/browser/node_modules/.installed ## The app, as people use it, in a real Chromium
	scripts/ensure-chromium
	cd frontend && CHROMIUM="$$(../scripts/ensure-chromium)" VIBEMESH_BIN="$(CURDIR)/bin/vibemesh" npm run --silent e2e

.PHONY: export-app
export-app: frontend/node_modules/.installed ## Bundle the app for Android and iOS
	cd frontend && npm run --silent build:native

KTLS_MODULES := tls gcm ghash-generic ctr chacha20poly1305 chacha-generic poly1305-generic
.PHONY: test-ktls
test-ktls: ## Kernel TLS, on an emulated machine whose kernel has it
	mkdir -p bin/test
	CGO_ENABLED=0 go test -c -o bin/test/ ./internal/tlsport ./internal/netloop
	scripts/vm $(KTLS_MODULES:%=--module %) --file bin/test/tlsport.test -- tlsport.test -test.v -test.run 'Kernel|BytesBothWays|Ends|Closes|KeyUpdate|Notify'
	scripts/vm $(KTLS_MODULES:%=--module %) --file bin/test/netloop.test -- netloop.test -test.v -test.run 'Kernel|Notify'

test/%/node_modules/.installed: test/%/package-lock.json
	cd test/$* && npm ci --ignore-scripts --no-audit --no-fund
	touch $@

frontend/node_modules/.installed: frontend/package-lock.json
	cd frontend && npm ci --ignore-scripts --no-audit --no-fund
	touch $@

.PHONY: lint
lint: ## Formatting, vet, staticcheck, and generated files that are out of date
	@out=$$(go tool gofumpt -l cmd deploy internal nats publish test); if [ -n "$$out" ]; then echo "gofumpt would change:"; echo "$$out"; exit 1; fi
	go vet ./... && go vet -tags firebase ./test/firebase
	go tool staticcheck ./... && go tool staticcheck -tags firebase ./test/firebase
	go mod tidy -diff
	staticcheck="$$(go tool -n staticcheck)"; cd $(PEERS) && go vet ./... && "$$staticcheck" ./... && go mod tidy -diff
	staticcheck="$$(go tool -n staticcheck)"; cd test/chart && go vet ./... && "$$staticcheck" ./... && go mod tidy -diff
	staticcheck="$$(go tool -n staticcheck)"; cd test/prometheus && go vet ./... && "$$staticcheck" ./... && go mod tidy -diff
	staticcheck="$$(go tool -n staticcheck)"; cd test/deploy && go vet ./... && "$$staticcheck" ./... && go mod tidy -diff
	scripts/generated-is-current
	@for f in scripts/* .ci/run; do bash -n $$f; done

.PHONY: generate
generate: ## Make the generated files again
	go generate ./...

.PHONY: fuzz
fuzz: ## Fuzz every parser, FUZZTIME (20s) each
	FUZZTIME=$(FUZZTIME) scripts/fuzz-all

.PHONY: chaos
chaos: ## Break a cluster of processes in every way, and check that nothing is lost; SEED=n repeats a run
	go run ./test/chaos/cmd/chaos $(if $(SEED),--seed $(SEED)) $(CHAOS)

.PHONY: bench
bench: ## Benchmarks of the parts, and of an edge beside a bare floor
	go test -run '^$$' -bench '$(BENCH)' -benchmem ./internal/...
	scripts/bench-edge

.PHONY: bench-report
bench-report: ## Compare with the floor, nbio and centrifuge; write it to docs/performance.md
	scripts/bench-report

.PHONY: million
million: ## SOCKETS (1000000) signed-in sockets in one edge, and messages to all of them
	scripts/million

.PHONY: million-mesh
million-mesh: ## EDGES (50) edges of SOCKETS (19000) each, and messages to all of them
	scripts/million mesh

.PHONY: clean
clean: ## Remove what was built and installed
	rm -rf bin test/*/node_modules frontend/node_modules frontend/dist frontend/dist-native frontend/packages/*/dist
