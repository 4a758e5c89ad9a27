# Each target is one line that calls a program; `make help` lists them. The programs explain themselves: add --help.
.DEFAULT_GOAL := help
.PHONY: help film up down images status env deps test chaos unit integration lint bench docs

BRIEF ?= examples/lighthouse.md
OUT ?= out/film.mp4
LOCAL = go run -C local -trimpath .
TASKS = go run -trimpath ./test/tasks

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

film: ## from nothing to a film: OUT=out/film.mp4 BRIEF=examples/….md
	@$(LOCAL) film --brief "$(BRIEF)" --output "$(OUT)"

up: ## bring the cluster up and install the studio (CLUSTER=local|kind|current); MONITORING=1 with what watches it
	@$(LOCAL) up $(if $(MONITORING),--monitoring)

down: ## take the cluster down; PURGE=1 deletes the data too
	@$(LOCAL) down $(if $(PURGE),--purge)

images: ## compile the Go services and build the images that changed
	@$(LOCAL) images

status: ## say which components run
	@$(LOCAL) status

env: ## print shell lines for kubectl, helm and ctr: eval "$(make -s env)"
	@$(LOCAL) env

deps: ## install what the tests need beside the images
	@$(TASKS) deps

test: ## lint, unit and integration tests; leaves the machine as it was
	@$(TASKS) test $(if $(BUDGETS),--budgets)

chaos: ## 500 random kills over 20 films: out/chaos.json; KILLS=500 FILMS=20
	@$(TASKS) chaos -- $(if $(KILLS),--kills $(KILLS)) $(if $(FILMS),--films $(FILMS))

unit: ## tests without a cluster
	@$(TASKS) test --only unit-go,unit-python,film

integration: ## tests on the cluster, started if need be
	@$(TASKS) test --only integration

lint: ## formatting, vet, ruff, helm lint
	@$(TASKS) test --only lint

bench: ## measure charttest against helm, helm-unittest and terratest, and the relay beside nginx
	@$(TASKS) bench

docs: ## write what is generated anew: schema, values reference
	@go generate ./...
