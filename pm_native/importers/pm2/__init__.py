"""PM2: ecosystem files (JavaScript, JSON, YAML) to the model."""

from pm_native.importers.pm2.importer import IMPORTER, Pm2Importer

__all__ = ["IMPORTER", "Pm2Importer"]
