"""The keys of [package]: what `pm-native package` needs to know beside the project."""

from __future__ import annotations

from pm_native.config.table import Key, ListOfTables, Table
from pm_native.config.types import ListOf, Text

PACKAGED_FILES = Table(
    (
        Key(
            name="from",
            type=Text("a path"),
            help="A file or folder, relative to the folder of the config. A folder is taken with all that is in it, but"
            " for version control (.git and the like) and byte code of Python.",
            example='"dist"',
            required=True,
        ),
        Key(
            name="to",
            type=Text("an absolute path"),
            help="Where it is installed: the place of the file itself, or of the folder.",
            example='"/srv/shop"',
            required=True,
        ),
        Key(
            name="exclude",
            type=ListOf(Text("a pattern"), "a list of patterns"),
            help='Paths below the folder that stay out, with "*" for anything: "tests/*", "*.log".',
            example='["tests/*"]',
        ),
    )
)

PACKAGE = Table(
    (
        Key(
            name="version",
            type=Text("a version"),
            help="The version of the package. `--version` of `pm-native package` goes first.",
            default="the newest tag of git (v1.4.2), with the commits since",
            example='"1.4.2"',
        ),
        Key(
            name="maintainer",
            type=Text('a name with an address, such as "Ann Ops <ann@shop.example>"'),
            help="Who answers for the package.",
            example='"Ann Ops <ann@shop.example>"',
        ),
        Key(
            name="summary",
            type=Text(),
            help="What it is, in a line.",
            default="made from the name of the project",
            example='"the corner shop"',
        ),
        Key(
            name="description",
            type=Text(),
            help="What it is, in a paragraph.",
            default="a list of the processes",
            example='"Sells what corners sell."',
        ),
        Key(
            name="license",
            type=Text(),
            help="The license, in a line.",
            default='"proprietary"',
            example='"MIT"',
        ),
        Key(
            name="homepage",
            type=Text("a URL"),
            help="The page of the project.",
            example='"https://shop.example"',
        ),
        Key(
            name="directory",
            type=Text("an absolute path"),
            help="Where the folder of the config lies on the hosts that install the package: paths that begin with that"
            " folder begin with this one there.",
            default="paths are as they are",
            example='"/srv/shop"',
        ),
        Key(
            name="files",
            type=ListOfTables(PACKAGED_FILES, "a list of tables with `from` and `to`"),
            help="What is installed beside the units.",
            example='[{ from = "dist", to = "/srv/shop" }]',
        ),
        Key(
            name="conffiles",
            type=ListOf(Text("an absolute path"), "a list of paths"),
            help="Installed files that people edit: an upgrade does not write over an edit. Files below /etc are that anyway.",
            example='["/srv/shop/settings.ini"]',
        ),
        Key(
            name="users",
            type=ListOf(Text("the name of a user"), "a list of users"),
            help="System users that the package makes, with a group of the same name (sysusers.d(5)).",
            example='["shop"]',
        ),
        Key(
            name="depends",
            type=ListOf(Text("a dependency"), "a list of dependencies"),
            help="Packages that it needs, in the words of Debian.",
            example='["nodejs (>= 18)"]',
        ),
        Key(
            name="rpm_depends",
            type=ListOf(Text("a dependency"), "a list of dependencies"),
            help="Packages that it needs, in the words of RPM.",
            example='["nodejs >= 18"]',
        ),
    )
)
