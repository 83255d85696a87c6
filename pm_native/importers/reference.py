"""The fields of all formats as a page of the documentation."""

from __future__ import annotations

from pm_native.importers.registry import importers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pm_native.importers.base import Field, Importer

_INTRODUCTION = """\
# Formats: every field

What becomes of each field of the configs that pm-native reads, made from the importers' own tables (`Field`, in
`pm_native/importers/base.py`). A field that becomes nothing is told when a config has it, with its place; so is one that the
format does not know. `*` stands for a name that you choose.
"""


def formats_page() -> str:
    """The whole page, in Markdown."""
    return _INTRODUCTION + "".join(part for importer in importers() for part in _format(importer))


def _format(importer: Importer) -> Iterator[str]:
    yield f"\n## {importer.title}\n"
    names = ", ".join(f"`{name}`" for name in importer.file_names[:6])
    yield f"\nFound by itself: {names}{', ...' if len(importer.file_names) > 6 else ''}.\n"
    fields = importer.fields()
    for section in dict.fromkeys(field.section for field in fields):
        if section:
            yield f"\n### {importer.title}: {section}\n"
        yield "\n| field | becomes | different, or what to do |\n|---|---|---|\n"
        for field in fields:
            if field.section == section:
                yield f"| `{field.name}` | {_cell(field.becomes or _nothing(field))} | {_cell(_rest(field))} |\n"


def _nothing(field: Field) -> str:
    return f"nothing: {field.differs}" if field.differs else "nothing"


def _rest(field: Field) -> str:
    """What there is to say beside what it becomes."""
    said = (field.differs if field.becomes else "", field.instead)
    return "; ".join(text for text in said if text)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
