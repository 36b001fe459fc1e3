# Two commands are the whole set-up: `make demo` and `make test`. Both make their
# own virtual environment in .venv; nothing else on the machine is touched.
PYTHON ?= python3
VENV := .venv
WORKERS ?= 3
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test check histories verify corpus sqlalchemy django postgresql19 bench clean
.DEFAULT_GOAL := help

.PHONY: help
help:
	@echo "make demo   a three-region PostgreSQL on this machine, and a connection that uses it"
	@echo "make test   every test, on real servers (about 25 minutes)"
	@echo "make check  linters, types and the tests that need no server (under 90 seconds)"
	@echo "make histories  random programs against the lab for half an hour, others each time"
	@echo "                (GLOBALDB_EXAMPLES=5000 says how many)"
	@echo "make verify  every promise, 200,000 operations in each mode and on each engine, on"
	@echo "                a lab that breaks"
	@echo "                (GLOBALDB_OPERATIONS=20000 says how many)"
	@echo "make corpus  others' test suites against both classifiers, all of them (an hour)"
	@echo "make sqlalchemy  SQLAlchemy's own tests for dialects, with ours and with its own, on"
	@echo "                both lines and each engine (an hour); fails where only ours do"
	@echo "make django  Django's own tests that know of a database, with ours and with its own,"
	@echo "                on each engine, by Python 3.11 and, with Django 6, a newer one from"
	@echo "                Debian that is not installed (hours); fails where only ours do"
	@echo "                (SUITE_LABELS=transactions,queries says which)"
	@echo "make postgresql19  the fence WAIT FOR LSN on a server that has it, from Debian's"
	@echo "                experimental, which moves; nothing is installed"
	@echo "make bench  overhead and round trips against plain psycopg, the classifier"
	@echo "            beside parsers of SQL, reading one's own writes beside simpler ways,"
	@echo "            failovers beside the AWS wrapper"

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
	  || { echo "No venv module: apt-get install python3-venv"; exit 1; }
	@echo "Installing into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet -e '.[all]' --group dev
	@touch $@

demo: $(STAMP)
	@$(BIN)/globaldb demo

# Most tests wait for a wide-area network: several at a time take half as long. Those of
# one file stay together, and share its lab. Those that count what happens at the next
# moment run afterwards, two at a time, which leaves each a core. Where milliseconds
# matter they run by themselves.
test: FILES := --dist loadfile --no-loadscope-reorder
test: PAIRED := tests/lab/test_django.py tests/lab/test_faults_links.py \
  $(addprefix tests/examples/test_,pages.py django_shop.py)
test: ALONE := $(addprefix tests/lab/test_,round_trips.py lab_links.py)
test: $(STAMP)
	@failed=0; \
	$(BIN)/python -m pytest -n $(WORKERS) $(FILES) \
	  $(addprefix --ignore=,$(PAIRED) $(ALONE)) || failed=$$?; \
	$(BIN)/python -m pytest -n 2 $(FILES) $(PAIRED) || failed=$$?; \
	$(BIN)/python -m pytest $(ALONE) && exit $$failed

check: $(STAMP)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m pytest -q -n 2 tests/unit tests/spec tests/property tests/verify

histories: $(STAMP)
	@GLOBALDB_EXAMPLES=$${GLOBALDB_EXAMPLES:-5000} $(BIN)/python -m pytest -k random \
	  tests/lab/test_histories.py

# globaldb refuses variables with its prefix that it does not know.
verify: OPERATIONS := $(or $(GLOBALDB_OPERATIONS),200000)
verify: VERIFY := env -u GLOBALDB_OPERATIONS $(BIN)/globaldb verify --lab \
  --sessions 24 --processes 2
verify: $(STAMP)
	@engines="postgresql mariadb"; \
	if $(BIN)/python -c "from globaldb.lab.mysql.binaries import find_mysql as f; f('mysql')"; \
	then engines="$$engines mysql"; else echo "NO MYSQL HERE: IT IS NOT VERIFIED"; fi; \
	for engine in $$engines; do \
	  for mode in session global eventual "eventual --max-staleness 0.3"; do \
	    $(VERIFY) --engine $$engine --faults --mode $$mode \
	      --operations $(OPERATIONS) --seconds 3600 || exit 1; \
	  done; \
	  $(VERIFY) --engine $$engine --faults lag,kill,partition,failover --seconds 60 \
	    || exit 1; \
	  $(VERIFY) --engine $$engine --baseline nearest --seconds 10; \
	  test $$? -eq 1 || exit 1; \
	done

corpus: $(STAMP)
	@GLOBALDB_CORPUS_ALL=1 PYTHONPATH=tests $(BIN)/python -m corpus
	@GLOBALDB_CORPUS_ALL=1 $(BIN)/python -m pytest tests/corpus tests/mariadb/test_corpus.py

sqlalchemy: $(STAMP)
	@mkdir -p build/sqlalchemy
	@SUITE_REPORTS=build/sqlalchemy PYTHONPATH=tests $(BIN)/python -m sqlalchemy_suite

# The wheels' PostgreSQL has not every extension and collation that they ask for.
django: SUITE := -m django_suite $(and $(SUITE_LABELS),--labels $(SUITE_LABELS))
django: export PYTHONPATH := tests
django: export SUITE_REPORTS := build/django
django: $(STAMP)
	@mkdir -p build/django
	@server=$$($(BIN)/python -m django_suite.contrib) || exit 1; \
	newer=$$($(BIN)/python -m django_suite.newer_python build/python3.13) || exit 1; \
	failed=0; \
	for python in $(BIN)/python $$newer; do \
	  GLOBALDB_LAB_PG_BIN=$$server $$python $(SUITE) || failed=1; \
	done; \
	$$newer -m pytest -q tests/lab/test_django.py && exit $$failed

bench: $(STAMP)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group bench
	@$(BIN)/python benchmarks/classification.py
	@$(BIN)/python benchmarks/round_trips.py
	@$(BIN)/python benchmarks/pages.py
	@$(BIN)/python benchmarks/pages_django.py
	@$(BIN)/python benchmarks/overhead.py
	@$(BIN)/python benchmarks/overhead_mysql.py
	@$(BIN)/python benchmarks/consistency.py
	@$(BIN)/python benchmarks/failover.py

postgresql19: $(STAMP)
	@bin=$$(PYTHONPATH=tests $(BIN)/python -m postgresql19.fetch) && GLOBALDB_LAB_PG_BIN=$$bin \
	  $(BIN)/python -m pytest tests/postgresql19/wait_for_lsn.py

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
