"""TUIX: the process lists of its process manager to the model."""

from pm_native.importers.tuix.importer import IMPORTER, TuixImporter

__all__ = ["IMPORTER", "TuixImporter"]
