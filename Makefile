# Everything that this repository can do. The work is in deploy/; this file only names it.

SHELL := bash
.DEFAULT_GOAL := help
.PHONY: help demo up down status logs test compose-test new-context lint contracts schemathesis chaos bench fuzz sqlx-prepare clean

# Tests and lints use the same features, so that nothing compiles twice.
export TEST_FEATURES := --features command-service/failpoints,notifier/failpoints,projector/failpoints

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22
	@echo
	@echo "  BACKENDS=native|compose decides where the servers run; without it, Compose if Docker works."
	@echo "  PROGRAMS=debug takes the programs of the tests, which need no release build; PROGRAMS=dist those that are shipped, PROGRAMS=pgo those of deploy/pgo."
	@echo "  COMPOSE_PROFILES=observability adds Prometheus, Grafana, Jaeger and a collector to Compose."

demo: ## Start everything and watch half a year of real orders flow through it
	@deploy/stack demo

up: ## Build and start the servers and the services
	@deploy/stack up

down: ## Stop what make up or make demo started; data stays
	@deploy/stack down

status: ## Show what runs where
	@deploy/stack status

logs: ## Follow all logs
	@deploy/stack logs

test: ## Run every test against real Postgres, Kafka and Redis
	@deploy/test

compose-test: ## Run everything in containers on a real Docker daemon, and bring one if there is none
	@deploy/compose-test

new-context: ## Build and test a copy with another bounded context, as docs/new-context.md says
	@deploy/new-context

lint: ## Check format, lints, licences and advisories
	@deploy/lint

contracts: ## Compare the descriptions of HTTP, topics and events with the last release
	@deploy/contracts

schemathesis: ## Send generated requests to both HTTP services and compare the answers with their descriptions
	@deploy/schemathesis/run

chaos: ## Break everything by a seed and see that nothing is lost (SEED=7 DURATION=1200: twenty minutes)
	@deploy/chaos

bench: ## Measure against physical limits and peers, an hour long (QUICK=1: ten minutes)
	@deploy/bench

fuzz: ## Feed nonsense to everything that reads strangers' bytes, ten minutes each (needs nightly Rust)
	@deploy/fuzz

sqlx-prepare: ## Check the SQL in the source against the migrations and refresh .sqlx
	@deploy/sqlx-prepare

clean: ## Stop everything and delete data, secrets and logs (cargo clean removes what was built)
	@deploy/stack clean
