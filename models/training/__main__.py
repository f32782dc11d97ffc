"""`python -m models.training --data bars.csv.gz`."""

import sys

try:
    from .command import main
except ModuleNotFoundError as missing:
    sys.exit(f"training needs {missing.name}, which serving does not; `make train DATA=bars.csv.gz` installs it")

main(prog_name="python -m models.training")
