"""`pm-native schema`: the JSON Schema of the native config, for editors."""

from __future__ import annotations

import json

import click


@click.command(
    epilog="""\b
Examples:
  pm-native schema > pm-native.schema.json

\b
TOML editors (taplo) and YAML editors (yaml-language-server) take it."""
)
def schema() -> int:
    """Print the JSON Schema of the native config."""
    from pm_native.cli.report import Result, finish  # noqa: PLC0415 - not for --help
    from pm_native.config.schema import json_schema  # noqa: PLC0415 - not for --help

    return finish(Result(command="schema", text=json.dumps(json_schema(), indent=2)))
