"""Graphs of numbers as JavaScript, for pages whose sliders compute."""
