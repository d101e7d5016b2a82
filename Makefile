# The front door: what people and CI call. Needs npm with any Node from 20 on; brings its own Node 24 along on Linux.
# Elsewhere Node 24.7 or later has to be there.
.PHONY: run test torture fuzz races timing check bench binary clean help
.DEFAULT_GOAL := help

export PATH := $(CURDIR)/node_modules/.bin:$(PATH)
# Tools must not phone home.
export REDOCLY_TELEMETRY := off
export REDOCLY_SUPPRESS_UPDATE_NOTICE := true
REQUIRE_NODE := const [major, minor] = process.versions.node.split(".").map(Number); \
  if (major < 24 || (major === 24 && minor < 7)) { \
    console.error("Node " + process.versions.node + " is too old: Daybook needs Node 24.7 or later (https://nodejs.org)."); \
    process.exit(1) \
  }
INSTALLED := node_modules/.package-lock.json

help: ## show this
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

$(INSTALLED): package.json package-lock.json
	@echo 'Installing what is missing (npm ci) ...'
	@npm ci --no-audit --no-fund --no-update-notifier --loglevel=error
	@node -e '$(REQUIRE_NODE)'
	@touch $@

run: $(INSTALLED) ## serve on http://localhost:8085 (APP_PORT overrides), book in ./data
	@APP_PORT=$${APP_PORT:-8085} node src/main.ts serve

test: $(INSTALLED) ## run every test
	@ava

torture: $(INSTALLED) ## every fault, for a long time; ends with a table (SEED=n repeats a run)
	@node test/faults/torture.ts

fuzz: $(INSTALLED) ## 100,000 requests that nobody would send (FUZZ_REQUESTS=n, SEED=n)
	@FUZZ_REQUESTS=$${FUZZ_REQUESTS:-100000} ava test/fuzz/fuzz.test.ts

races: $(INSTALLED) ## 1,000 rounds each of racing codes, refreshes, moves, repeats and revocations (ROUNDS=n)
	@ROUNDS=$${ROUNDS:-1000} ava test/http/races.test.ts test/http/races-items.test.ts test/http/revoke.test.ts --match='*rounds*'

timing: $(INSTALLED) ## does the time of an answer tell what was wrong? Welch's t-test (SAMPLES=n)
	@node test/fuzz/timing.ts

check: $(INSTALLED) ## formatter, linter, type check, OpenAPI lint
	@biome ci --colors=off --error-on-warnings .
	@tsc --noEmit
	@redocly lint openapi/openapi.yaml

bench: $(INSTALLED) ## the benchmark, side by side with its peers
	@node bench/bench.ts
	@node bench/book.ts

binary: $(INSTALLED) ## the single executable, dist/daybook
	@node scripts/binary.ts

clean: ## remove what the others made, never data/
	@rm -rf node_modules dist coverage
