# `make check` is all that CI runs; `make` alone lists the targets.

GO ?= go
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
PLATFORMS = linux/amd64 linux/arm64 darwin/arm64 windows/amd64 freebsd/amd64
# Fuzzing is counted in executions, not seconds: a run that ends on a clock may
# report the end as a failure.
FUZZ_EXECUTIONS ?= 10000

.PHONY: help check format vet staticcheck tidy test fuzz cross bench bench-router bench-tun

help:
	@echo 'check        all of the following, as CI runs them'
	@echo 'format       gofmt'
	@echo 'vet          go vet'
	@echo 'staticcheck  staticcheck'
	@echo 'tidy         go.mod and go.sum hold what the code needs, no more'
	@echo 'test         all tests, with the race detector, in random order'
	@echo 'fuzz         every fuzz target, FUZZ_EXECUTIONS times'
	@echo 'cross        build for every platform'
	@echo 'bench        the tables of docs/BENCHMARKS.md'
	@echo 'bench-router forwarding in memory and over TUNs beside gVisor, and its ratios'
	@echo 'bench-tun    TUN devices beside each other, and their ratios'

check: format vet staticcheck tidy cross test fuzz

format:
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "not gofmt'd:"; echo "$$unformatted"; exit 1; fi

vet:
	$(GO) vet ./...

staticcheck:
	$(GO) run $(STATICCHECK) ./...

tidy:
	$(GO) mod tidy -diff

test:
	$(GO) test -race -shuffle=on ./...
	$(GO) test -run Alloc ./... # The race detector allocates, too.

fuzz:
	GO='$(GO)' sh scripts/fuzz.sh $(FUZZ_EXECUTIONS)

cross:
	@for platform in $(PLATFORMS); do \
		echo "build $$platform"; \
		GOOS=$${platform%/*} GOARCH=$${platform#*/} CGO_ENABLED=0 $(GO) build ./... || exit 1; \
		GOOS=$${platform%/*} GOARCH=$${platform#*/} CGO_ENABLED=0 $(GO) vet ./... || exit 1; \
	done

bench:
	GO='$(GO)' sh scripts/bench.sh

bench-router:
	@GO='$(GO)' sh scripts/bench-router.sh

bench-tun:
	@GO='$(GO)' sh scripts/bench-tun.sh
