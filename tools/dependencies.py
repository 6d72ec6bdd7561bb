"""Prints the dependencies of the package and of the extras named as arguments, one requirement a line."""

import sys
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
for requirement in project["dependencies"] + [r for e in sys.argv[1:] for r in project["optional-dependencies"][e]]:
    print(requirement)
