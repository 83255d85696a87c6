"""docker compose: services that have a command to the model."""

from pm_native.importers.compose.importer import IMPORTER, ComposeImporter

__all__ = ["IMPORTER", "ComposeImporter"]
