# Every target brings along what it needs; see README.md.
with := ./lab/bootstrap.sh

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 22

lab: ## build the lab, start it, and run pulumi up against it
	@$(with) node lab/main.ts up

lab-found: ## make the lab's estate as it was before this program; make lab then takes it over
	@$(with) node lab/main.ts found

lab-status: ## each part of the lab, its state and where it is
	@$(with) node lab/main.ts status

lab-env: ## shell exports for working with the lab by hand: eval "$(make -s lab-env)"
	@$(with) node lab/main.ts env

lab-down: ## stop the lab
	@$(with) node lab/main.ts down

lab-clean: ## stop the lab and remove all of it
	@$(with) node lab/main.ts clean

check: ## formatters, linters, types, imports between folders, shell scripts
	@$(with) npm run --silent lint
	@shellcheck --external-sources $$(git ls-files '*.sh' .ci/run host/bin 'lab/plugins/*/pulumi-resource-*')

test-host: ## FileSet against a bare sshd, without the lab
	@$(with) npx vitest run --project host

bench: lab ## what it costs, beside what people use instead: docs/benchmarks.md
	@$(with) node bench/main.ts

soak: lab ## ten minutes of pushes, pulls, updates, upkeep and faults at once: is anything lost or wrong?
	@$(with) node test/soak/main.ts $(SOAK)

tour: lab ## run the commands of README.md and docs/tour.md against the lab, and put what they print there
	@$(with) node lab/tour.ts

test: lab check ## everything: checks, unit tests, test-host, and the tests against the lab
	@$(with) node test/all.ts

.PHONY: help lab lab-found lab-status lab-env lab-down lab-clean check test-host bench soak tour test
