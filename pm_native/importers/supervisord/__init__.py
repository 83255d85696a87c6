"""supervisord: supervisord.conf, what it includes, and a supervisord that runs, to the model."""

from pm_native.importers.supervisord.importer import IMPORTER, SupervisordImporter

__all__ = ["IMPORTER", "SupervisordImporter"]
