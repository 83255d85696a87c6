"""circus: circus.ini and what it includes, to the model."""

from pm_native.importers.circus.importer import IMPORTER, CircusImporter

__all__ = ["IMPORTER", "CircusImporter"]
