"""Targets: one file each, from array programs to source text. To add one, write its file and its line in
`TARGETS`.
"""

from codegen.targets.numpy_source import numpy_source

TARGETS = {"numpy": numpy_source}
