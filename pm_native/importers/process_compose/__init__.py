"""process-compose: its YAML files to the model."""

from pm_native.importers.process_compose.importer import IMPORTER, ProcessComposeImporter

__all__ = ["IMPORTER", "ProcessComposeImporter"]
