# Two commands matter: `make demo` runs a whole search, `make test` runs the tests. Both set up.
.PHONY: demo test check setup clean

demo: setup
	.venv/bin/python search.py launch studies/digits.yaml

test: setup
	scripts/test -n 2 --dist loadfile --max-worker-restart 0

check: setup
	scripts/check

setup:
	@scripts/setup

clean:
	rm -rf .venv
