"""Procfile, in the dialects of foreman, honcho and overmind, to the model."""

from pm_native.importers.procfile.importer import IMPORTER, ProcfileImporter

__all__ = ["IMPORTER", "ProcfileImporter"]
