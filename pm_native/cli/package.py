"""`pm-native package`: the compiled project as a package of the operating system."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path, PurePosixPath

import click

from pm_native.cli.options import with_format, with_json, with_source
from pm_native.cli.report import Messages, Result, finish
from pm_native.errors import UsageError
from pm_native.unit.name import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.cli.options import SourceOptions
    from pm_native.config.package import TextForm
    from pm_native.errors import Diagnostics
    from pm_native.model.package import Package
    from pm_native.model.project import Project
    from pm_native.package.build import Build

# Where the packages of pm-native have the programs that units are started with, whatever the distribution.
RUNTIME = "/usr/lib/pm-native/pm_native/runtime"


@click.command(
    epilog="""\b
Examples:
  pm-native package --deb                     shop_1.4.2_all.deb in dist/
  pm-native package --rpm --version 1.5.0
  pm-native package --deb --rpm -o /tmp/out

\b
[package] in the config says what is in it and who answers for it; see pm-native.toml(5).
Installing it enables and starts the project; an upgrade restarts what differs, one instance
after the other where on_change = "reload"; removing it stops the project."""
)
@with_source
@click.option("--deb", is_flag=True, help="Build a .deb (needs dpkg-deb).")
@click.option("--rpm", is_flag=True, help="Build an .rpm (needs rpmbuild).")
@click.option("--version", "version", help="The version of the package, over what the config says.")
@click.option("--maintainer", help="Who answers for it, over what the config says: Name <address>.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default="dist",
    show_default=True,
    help="Where the packages go.",
)
@with_format
@with_json
def package(  # noqa: PLR0913 - one per option
    *,
    source: SourceOptions,
    deb: bool,
    rpm: bool,
    version: str | None,
    maintainer: str | None,
    output: Path,
) -> int:
    """Make a .deb or an .rpm of a project.

    In it are the units, and the files that the config names. Compiles for the hosts that will install it: paths are those
    of [package], programs that this host lacks are warnings.
    """
    from pm_native.cli.source import load_source  # noqa: PLC0415 - not for --help
    from pm_native.config.package import MAINTAINER, VERSION  # noqa: PLC0415 - not for --help
    from pm_native.errors import Diagnostics  # noqa: PLC0415 - not for --help
    from pm_native.package.deb import build_deb  # noqa: PLC0415 - not for --help
    from pm_native.package.rpm import build_rpm  # noqa: PLC0415 - not for --help

    builders = [builder for builder, is_asked in ((build_deb, deb), (build_rpm, rpm)) if is_asked]
    if not builders:
        raise UsageError("which kind of package?", hint="--deb, --rpm or both")
    _check_given("--version", version, VERSION)
    _check_given("--maintainer", maintainer, MAINTAINER)
    problems = Diagnostics(strict=source.strict)
    project = load_source(source, Messages(), problems)
    given = replace(
        project.package,
        version=version or project.package.version,
        maintainer=maintainer or project.package.maintainer,
    )
    built: list[Path] = []
    for builder in builders:
        with tempfile.TemporaryDirectory(prefix="pm-native-package-") as scratch:
            build = _staged(project, given, source, Path(scratch) / "tree", problems)
            built.append(builder(build, output))
    result = Result(
        command="package",
        text="\n".join(map(str, built)),
        data={"project": project.name, "version": build.version, "packages": [str(path) for path in built]},
        diagnostics=tuple(problems),
    )
    return finish(result)


def _staged(
    project: Project, given: Package, source: SourceOptions, root: Path, problems: Diagnostics
) -> Build:
    """Compile the project for the hosts that install it, and put its files below `root`."""
    from pm_native.cli.source import compile_options  # noqa: PLC0415 - not for --help
    from pm_native.compile.project import compile_project  # noqa: PLC0415 - not for --help
    from pm_native.package.build import Build, build_epoch, version_of_git  # noqa: PLC0415 - not for --help
    from pm_native.package.listing import list_units  # noqa: PLC0415 - not for --help
    from pm_native.package.target import TargetHost, relocated, warn_of_missing_folders  # noqa: PLC0415 - not for --help
    from pm_native.package.tree import stage  # noqa: PLC0415 - not for --help

    config = Path(project.source_path)
    base = PurePosixPath(config.parent)
    if given.directory is not None:
        project = relocated(project, base, given.directory)
    project = replace(project, source_path=config.name)
    version = given.version or version_of_git(config.parent)
    is_read = not problems.has_errors  # what is wrong is not missing
    if version is None and is_read:
        hint = 'version = "1.0.0" below [package], or --version 1.0.0'
        problems.error(
            given.span,
            "which version? git has no tag such as v1.0.0 here",
            code="package-version",
            hint=hint,
        )
    if given.maintainer is None and is_read:
        hint = 'maintainer = "Ann Ops <ann@shop.example>" below [package], or --maintainer'
        problems.error(given.span, "who answers for the package?", code="package-maintainer", hint=hint)
    options = replace(
        compile_options(source, Scope.SYSTEM, None),
        host=TargetHost(given.files, given.users),
        allow_missing=True,
        python="/usr/bin/python3",
        runtime=RUNTIME,
        library="",
    )
    bundle = compile_project(project, options, problems)
    # The broker's template is one of pm-native's own units.
    needs_runtime = project.ipc is not None or any(RUNTIME in item.text for item in bundle.files)
    root.mkdir(mode=0o755)
    staged = stage(root, project.name, bundle, given, problems)
    warn_of_missing_folders(project, base, staged.files, problems)
    return Build(
        name=project.name,
        project=project.name,
        version=version or "",
        maintainer=given.maintainer or "",
        package=given,
        staged=staged,
        units=list_units(project, bundle, staged),
        runtime=_own_version() if needs_runtime else None,
        watches=any(process.watch is not None for process in project.processes),
        epoch=build_epoch(config.parent, config),
    )


def _check_given(option: str, text: str | None, form: TextForm) -> None:
    """UsageError where the value of an option is not what the key of the config takes."""
    if text is not None and not form.matches(text):
        raise UsageError(f"{option}: not valid: {text!r}", hint=form.hint)


def _own_version() -> str:
    """The version of pm-native, "" in a checkout that is not installed."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - not for --help

    try:
        return version("pm-native")
    except PackageNotFoundError:
        return ""
