"""Importing this loads all ops, some of which are otherwise loaded when a function is asked for."""

from __future__ import annotations

import importlib
import pkgutil

import symad.ops

for module in pkgutil.walk_packages(symad.ops.__path__, "symad.ops."):
    importlib.import_module(module.name)
