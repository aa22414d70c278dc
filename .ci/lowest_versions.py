"""Print the lowest version of each package that setup.cfg requires, as constraints for pip."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

settings = configparser.ConfigParser(interpolation=None)
settings.read(Path(__file__).resolve().parents[1] / "setup.cfg", encoding="utf-8")
required = settings["options"]["install_requires"].split("\n")
lowest = dict(re.findall(r"^([\w-]+)>=([\d.]+)", "\n".join(required), re.MULTILINE))
print(*(f"{name}=={version}" for name, version in lowest.items()), sep="\n")
