# make test is for everybody, make check for those who hand in a change; make help lists the rest.
#
# Needed: Go, GNU make, git, bash. What else a step wants it finds, installs where it may, or skips with a message; with
# REQUIRE_SERVERS=1 it fails instead of skipping.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.SILENT:
.NOTPARALLEL: # The steps of test build on each other, and each one uses all cores by itself.

ifeq ($(filter oneshell,$(.FEATURES)),)
$(error This Makefile needs GNU make 3.82 or newer. On macOS: brew install make, then run gmake)
endif

# Tools stay out of go.mod: golangci-lint alone would bring a few hundred modules. Exact versions, so that a check means
# the same on every machine.
GOFUMPT       := mvdan.cc/gofumpt@v0.12.0
GOLANGCI_LINT := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.6.0

# Binaries that this Makefile installs; not committed.
TOOLS := $(CURDIR)/.cache/tools

# The result of each step, for the line at the end of make test.
SUMMARY := .cache/summary

# Extra flags for the tests: make test TESTFLAGS='-run TestTransfer -v'
TESTFLAGS ?=

# The locks that ours are compared with, and what tests of locks need, are a module of their own: the go.mod of the shop lists what
# the shop runs on. All checks and tests are of both modules. gofumpt goes by directories, and finds both by itself.
PEERS   := lockprovider/lock/peers
MODULES := . $(PEERS)

# The packages that make test tests under the race detector: concurrency is their subject, and they import little. The detector
# wants another build of everything that a package imports, which for the others takes longer than their tests. make check runs
# it everywhere.
RACED := ./internal/httpserver $(if $(wildcard lockprovider/lock),./lockprovider/lock/...)

# The race detector, without the C code of SQLite that modernc.org translates to Go: it was the larger part of what the detector
# watched, one thread of a connection at a time executes it, and no race in it would be ours. The package has no atomics and no generic code that
# others would share, so nothing that the detector needs to know is lost.
RACE := -race '-gcflags=modernc.org/sqlite/lib=-race=false -d=checkptr=0'

# The packages of the peers that make test tests: our lock among those that work alike. What is left to make check needs etcd, whose
# build takes longer than all of these tests. make check has the race detector here too; it would build all of the peers once more.
PEERS_TESTED := ./redistest

# The packages whose tests start the program as a process of its own.
E2E := ./e2e

# The packages whose tests take longest. They are tested first: alone at the end, they would leave the processors idle.
LONGEST := $(foreach package,lockprovider e2e commerce events,$(if $(wildcard $(package)),./$(package)))

# A package that takes longer hangs. Alone on a machine, e2e takes a quarter of an hour, and no other more than a few minutes. Beside
# others, on a machine that is several times slower, they take several times as long.
TEST_TIMEOUT := 75m

# The packages and tests of the long campaign, and of single suites.
CAMPAIGN_SERVERS := $(E2E)
CAMPAIGN_LOCKS   := ./lockprovider
CONFORMANCE      := lockprovider

# Most packages of ent have no tests, and say so one by one.
DROP_UNTESTED := sed '/\[no test files\]$$/d'

# $(call tool,package@version) is a shell command that prints the path of the tool, and fails if there is none. It looks
# on PATH and in Go's own bin directory before it builds one. Go writes the version of the module into each binary.
tool = find_tool $(notdir $(firstword $(subst @, ,$(1)))) $(1)
define shell_functions
find_tool() {
	local name=$$1 package=$${2%@*} version=$${2#*@} path gobin
	gobin=$$(go env GOBIN)
	for path in "$$(command -v "$$name" || true)" "$${gobin:-$$(go env GOPATH)/bin}/$$name" "$(TOOLS)/$$name"; do
		if [ -x "$$path" ] && go version -m "$$path" 2>/dev/null |
			awk -v want="$$version" '$$1 == "mod" && $$3 == want { found = 1 } END { exit !found }'; then
			echo "$$path"
			return
		fi
	done
	echo "installing $$package@$$version into .cache/tools; the first time this takes some minutes" >&2
	if ! GOBIN="$(TOOLS)" go install "$$package@$$version" >&2; then
		echo "$$name $$version is not installed, and could not be downloaded and built" >&2
		return 1
	fi
	echo "$(TOOLS)/$$name"
}
# skip_or_fail STEP: what happens to a step whose tool is not to be had.
skip_or_fail() {
	if [ "$${REQUIRE_SERVERS:-}" = 1 ]; then
		echo "$$1: REQUIRE_SERVERS=1 forbids to skip it" >&2
		exit 1
	fi
	echo "$$1: skipped"
	summarise "$$1 skipped"
	exit 0
}
# beside COMMAND: run it beside what follows until all_done, which shows its output, and fails if the command has failed. Tests
# wait a lot; what waits leaves the processors to others.
beside_pids=() beside_outputs=()
beside() {
	local output
	output=$$(mktemp)
	beside_outputs+=("$$output")
	("$$@" | $(DROP_UNTESTED)) >"$$output" 2>&1 &
	beside_pids+=($$!)
}
all_done() {
	local i failed=0
	for i in "$${!beside_pids[@]}"; do
		wait "$${beside_pids[$$i]}" || failed=1
		cat "$${beside_outputs[$$i]}"
		rm -f "$${beside_outputs[$$i]}"
	done
	return $$failed
}
step() { echo "== $$1"; }
summarise() {
	mkdir -p .cache
	echo "$$1" >>$(SUMMARY)
}
endef

.PHONY: build
build: ## Build the server: bin/holdfast
	CGO_ENABLED=0 go build -trimpath -o bin/holdfast .

.PHONY: run
run: ## Run it with everything embedded: nothing else needs to be installed
	go run .

.PHONY: generate
generate: ## Generate the code that comes from ent/schema and graph/schema/*.graphqls
	for module in $(MODULES); do go -C "$$module" generate ./...; done

.PHONY: module-path
module-path: ## Rename the module everywhere: make module-path MODULE=example.com/you/holdfast
	go run ./internal/modulepath "$${MODULE:-}"
	go generate ./...

.PHONY: fmt
fmt: ## Format all Go code
	$(shell_functions)
	gofumpt=$$($(call tool,$(GOFUMPT)))
	"$$gofumpt" -w .

.PHONY: lint
lint: ## Run golangci-lint
	$(shell_functions)
	step 'golangci-lint'
	lint=$$($(call tool,$(GOLANGCI_LINT))) || skip_or_fail lint
	for module in $(MODULES); do (cd "$$module" && "$$lint" run ./...); done
	summarise 'lint ok'

.PHONY: vet
vet:
	$(shell_functions)
	step 'go vet'
	go vet ./...
	go -C $(PEERS) vet $(if $(filter test,$(MAKECMDGOALS)),$(PEERS_TESTED),./...)
	summarise 'vet ok'

# With an empty cache it takes minutes, as the tests that build copies of the tree do.
#
# go vet for Windows would check the tests as well, but takes minutes after a change of a package that most others import.
.PHONY: build-windows
build-windows:
	$(shell_functions)
	if [ "$$HOLDFAST_CHECK" != 1 ]; then exit; fi
	step 'go build, for Windows'
	GOOS=windows go build -o /dev/null .
	summarise 'build for Windows ok'

.PHONY: check-format
check-format:
	$(shell_functions)
	step 'gofumpt'
	gofumpt=$$($(call tool,$(GOFUMPT))) || skip_or_fail format
	unformatted=$$("$$gofumpt" -l .)
	if [ -n "$$unformatted" ]; then
		printf 'Not formatted (make fmt does it):\n%s\n' "$$unformatted"
		exit 1
	fi
	summarise 'format ok'

# Compares the tree before and after, not the tree and the last commit: work that is not committed yet is no fault. The
# two snapshots go to a repository of their own, which also works where the sources are not in one.
.PHONY: check-generated
check-generated:
	$(shell_functions)
	step 'go generate'
	snapshots=$$(mktemp -d)
	trap 'rm -rf "$$snapshots"' EXIT
	unset GIT_INDEX_FILE GIT_OBJECT_DIRECTORY # set where make runs in a git hook
	export GIT_DIR="$$snapshots" GIT_WORK_TREE="$(CURDIR)"
	git init --quiet
	snapshot() { git -c core.autocrlf=false -c core.safecrlf=false add --all . && git write-tree; }
	before=$$(snapshot)
	for module in $(MODULES); do env -u GIT_DIR -u GIT_WORK_TREE go -C "$$module" generate ./...; done
	after=$$(snapshot)
	if [ "$$before" != "$$after" ]; then
		echo 'Generated code was out of date. It has just been brought up to date; review and commit:'
		git --no-pager diff --stat "$$before" "$$after"
		exit 1
	fi
	summarise 'generated code ok'

.PHONY: test
test: start-summary servers npm vet go-test summary ## All tests but those that need etcd, with the race detector where concurrency is the subject

# With HOLDFAST_CHECK=1, those tests run as well that build copies of this tree.
.PHONY: check
check: export HOLDFAST_CHECK = 1
check: start-summary servers npm check-generated check-format vet build-windows lint go-test-race summary ## All checks, and all tests with the race detector

.PHONY: test-loaded
test-loaded: servers npm ## Prove that no test takes slowness for failure: all tests 5 times, beside a load on all cores
	$(shell_functions)
	step 'go test, beside a load'
	go build -o $(TOOLS)/load ./internal/testenv/load
	$(TOOLS)/load -for 4h -times 5 $(MAKE) --no-print-directory go-test PEERS_TESTED=./... TESTFLAGS='-count=1 $(TESTFLAGS)'

# Without go test's own vet, which is a part of the step before.
.PHONY: go-test
go-test:
	$(shell_functions)
	race=($(RACE))
	raced=$$(go list $(RACED))
	if [ "$$(go env CGO_ENABLED)" != 1 ]; then
		echo 'No C compiler: testing without the race detector'
		race=()
	fi
	step "go test, and go test $${race[0]:-} of the locks"
	beside go test "$${race[@]}" -vet=off -timeout $(TEST_TIMEOUT) $(TESTFLAGS) $$raced
	beside go -C $(PEERS) test -vet=off -timeout $(TEST_TIMEOUT) $(TESTFLAGS) $(PEERS_TESTED)
	failed=0
	go test -vet=off -timeout $(TEST_TIMEOUT) $(TESTFLAGS) $$(go list $(LONGEST) ./... | grep -vxF "$$raced") | $(DROP_UNTESTED) || failed=1
	all_done || failed=1
	[ $$failed = 0 ]
	summarise 'tests ok'

# The tests of package e2e start many servers, which take several times as much of the processors under the race detector; those of
# etcd and lockbench want another build of etcd for it. With HOLDFAST_CHECK=1 they have it. Otherwise the servers are as users have them, and
# the detector watches the same code in the tests of all other packages.
# The comparison of locks comes last: it tells a lost wake-up by how long a turn takes, and beside the compiling of everything it repeats
# itself with ever longer leases.
.PHONY: go-test-race
go-test-race:
	$(shell_functions)
	step 'go test -race'
	race=($(RACE))
	if [ "$$(go env CGO_ENABLED)" != 1 ]; then
		[ "$${REQUIRE_SERVERS:-}" != 1 ] || { echo 'No C compiler: REQUIRE_SERVERS=1 forbids to test without the race detector'; exit 1; }
		echo 'No C compiler: testing without the race detector'
		race=()
	fi
	failed=0
	e2e= peers=./...
	if [ "$$HOLDFAST_CHECK" != 1 ]; then
		e2e=$$(go list $(E2E)) peers="$(PEERS_TESTED)"
		beside go -C $(PEERS) test -vet=off -timeout $(TEST_TIMEOUT) $(TESTFLAGS) $$(go -C $(PEERS) list ./... | grep -vxF "$$(go -C $(PEERS) list $$peers)")
		beside go test -vet=off -timeout $(TEST_TIMEOUT) $(TESTFLAGS) $$e2e
	fi
	go test "$${race[@]}" -vet=off -timeout $(TEST_TIMEOUT) $(TESTFLAGS) $$(go list $(LONGEST) ./... | grep -vxF "$$e2e") | $(DROP_UNTESTED) || failed=1
	go -C $(PEERS) test "$${race[@]}" -vet=off -timeout $(TEST_TIMEOUT) $(TESTFLAGS) $$peers | $(DROP_UNTESTED) || failed=1
	all_done || failed=1
	[ $$failed = 0 ]
	summarise "tests$${race:+ with -race} ok"

.PHONY: start-summary
start-summary:
	rm -f $(SUMMARY)

.PHONY: summary
summary:
	paste -sd, $(SUMMARY) | sed 's/^/make: /; s/,/, /g'

.PHONY: test-short
test-short: ## The tests that need no database server, without the race detector
	for module in $(MODULES); do go -C "$$module" test -short $(TESTFLAGS) ./... | $(DROP_UNTESTED); done

.PHONY: campaign
campaign: ## The long campaign: 100 servers killed and every fault under each strategy, 50 takeovers, 20 fallbacks, every step of a payment, 500 faults of each lock; some hours
	HOLDFAST_CAMPAIGN=long go test -run '^Test(Campaign|Kill9|RestoreDrill)' -count 1 -timeout 180m -v $(TESTFLAGS) $(CAMPAIGN_SERVERS)
	HOLDFAST_CAMPAIGN=long go test -run '^Test(Conformance|Standby|Promotion)' -count 1 -timeout 60m $(TESTFLAGS) $(CAMPAIGN_LOCKS)
	HOLDFAST_CAMPAIGN=long go -C $(PEERS) test -run '^TestLockers$$' -count 1 -timeout 60m $(TESTFLAGS) ./redistest
	go test -run '^TestSimulation$$' -count 1 -timeout 60m $(TESTFLAGS) ./lockprovider/lock/handoff -simulations 10000

.PHONY: conformance
conformance: ## Run every strategy on every database and Redis, and print the table
	cd $(CONFORMANCE) && HOLDFAST_CAMPAIGN=long go test -run '^TestConformance$$' -count 1 -timeout 30m -conformance.table

.PHONY: proof
proof: ## Check the order of what customers saw under each strategy and workload, find shops that are wrong on purpose, simulate crashes; print all
	cd experiment && go test -run '^Test(StrategiesKeepTheOrder|OrderControlsAreCaught)$$' -count 1 -timeout 30m $(TESTFLAGS) -proof.table
	go test ./app -run '^TestSimulation$$' -count 1 -timeout 30m -v -simulations 1000

.PHONY: lockbench
lockbench: ## Measure the locks against each other and check what ours must reach; some minutes on a quiet machine
	go -C $(PEERS) run ./lockbench --check

.PHONY: bench
bench: ## Run the benchmarks
	for module in $(MODULES); do go -C "$$module" test -run '^$$' -bench . -benchmem $(TESTFLAGS) ./...; done

.PHONY: servers
servers: ## Find redis-server, PostgreSQL, PgBouncer and MariaDB for the tests; as root on Debian, install what is missing
	go run ./internal/testenv/install

.PHONY: npm
npm: ## Install the npm packages that the tests of pages and clients need
	$(shell_functions)
	step 'npm ci'
	command -v npm >/dev/null || skip_or_fail npm
	for directory in web examples/apollo; do
		if [ "$$directory/node_modules/.package-lock.json" -nt "$$directory/package-lock.json" ]; then
			continue
		fi
		(cd "$$directory" && npm ci --no-fund --no-audit) || skip_or_fail npm
	done
	summarise 'npm ok'

.PHONY: tools
tools: ## Find or build gofumpt and golangci-lint
	$(shell_functions)
	$(call tool,$(GOFUMPT))
	$(call tool,$(GOLANGCI_LINT))

.PHONY: help
help: ## List the targets
	awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
