"""Kernels that run the notebooks of the site: reached by files of this machine, not by a port.

A kernel with a network port warns on the terminal that what is sent is not encrypted.
"""

from __future__ import annotations

import sys
from tempfile import TemporaryDirectory

import jupyter_client
from jupyter_client import AsyncKernelManager
from traitlets import default

_FOLDER = TemporaryDirectory(prefix="symad-", ignore_cleanup_errors=True)


class LocalKernelManager(AsyncKernelManager):
    """Starts kernels that listen to sockets in the file system."""

    @default("transport")
    def _transport_of_files(self) -> str:
        return "ipc"

    @default("ip")
    def _file(self) -> str:
        return f"{_FOLDER.name}/{id(self)}"


if sys.platform != "win32":
    jupyter_client.AsyncKernelManager = LocalKernelManager  # what runs notebooks looks it up
