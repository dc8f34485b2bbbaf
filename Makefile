# Everything from a fresh checkout: `make demo` and `make test` set up first (fast when that is done).

# A ROS distribution sourced in this shell must not leak into the environment of this checkout.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH ROS_DISTRO
unexport ROS_DOMAIN_ID RMW_IMPLEMENTATION FASTDDS_DEFAULT_PROFILES_FILE _ROS_WHEELS_BOOTSTRAP_COMPLETE
ifdef ROS_DISTRO
unexport LD_LIBRARY_PATH
endif

BIN := .venv/bin

.PHONY: help setup demo test lint bench docs clean

help:
	@echo "make demo    the nano policy moves the LIBERO arm over ROS 2: 3 episodes, a table, a video"
	@echo "make test    linters and all tests"
	@echo "make bench   inference time of the nano policy"
	@echo "make docs    the manual with its generated reference, as a site in build/site"
	@echo "make lint    linters only"
	@echo "make setup   the environment only (.venv)"
	@echo "make clean   removes caches and build outputs, but not .venv"

setup:
	@python3 tools/setup.py

demo: setup
	@$(BIN)/asyncvla demo

test: setup
	@$(BIN)/python tools/check.py

lint: setup
	@$(BIN)/python tools/check.py --lint

bench: setup
	@$(BIN)/asyncvla bench policy --json -

docs: setup
	@$(BIN)/python tools/docs.py

clean:
	rm -rf .cache .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build install log
	find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
