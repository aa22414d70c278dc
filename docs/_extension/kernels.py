"""Kernels that run notebooks of the site: reached by a file of this machine, not by a network port.

A kernel with a port warns on the terminal that what is sent is not encrypted.
"""

from __future__ import annotations

import sys

import jupyter_client
from jupyter_client import AsyncKernelManager
from traitlets import default


class LocalKernelManager(AsyncKernelManager):
    """Starts kernels that listen to sockets in the file system."""

    @default("transport")
    def _in_the_file_system(self) -> str:
        return "ipc"


if sys.platform != "win32":
    jupyter_client.AsyncKernelManager = LocalKernelManager  # what runs notebooks looks it up
