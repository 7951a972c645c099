PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check bench setup browser clean

demo: setup
	sh setup.sh browser || true
	$(BIN)/facevalue demo --out demo-run

test: setup browser check
	$(BIN)/python -m pytest

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup browser
	$(BIN)/python -m benchmarks

setup: .venv/.complete

.venv/.complete: requirements.txt requirements-dev.txt constraints.txt pyproject.toml setup.sh
	PYTHON=$(PYTHON) sh setup.sh
	touch $@

browser: setup
	sh setup.sh browser

clean:
	rm -rf .venv demo-run build *.egg-info
