"""What a page consists of: sections of blocks, ready for a template that lays them out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from markupsafe import Markup

from shiftforge.generator.page.documents import Documents
from shiftforge.generator.page.figures import Figure, Mark, figure

__all__ = ["Block", "Card", "Cards", "Chart", "Column", "Missing", "Picture", "Section", "Table",
           "columns_of", "rows_of"]  # fmt: skip


@dataclass(frozen=True)
class Card:
    """One figure that stands by itself. beside: a second one, with what it is."""

    title: str
    figure: Figure
    mark: Mark
    note: str = ""
    beside: tuple[tuple[str, Figure], ...] = ()
    meter: Figure | None = None


@dataclass(frozen=True)
class Cards:
    """Figures side by side."""

    cards: tuple[Card, ...]
    kind: str = "cards"


@dataclass(frozen=True)
class Column:
    """title: of the column. key: of a row's object in the JSON file. form: of ``FORMS``."""

    title: str
    key: str
    form: str

    @property
    def numeric(self) -> bool:
        """Whether its cells stand at the right."""
        return self.form not in ("name", "text", "words", "yes", "shape")


@dataclass(frozen=True)
class Table:
    """id: unique on the page. note: below it."""

    id: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Figure, ...], ...]
    mark: Mark | None = None
    note: str = ""
    folded: bool = False
    kind: str = "table"


@dataclass(frozen=True)
class Picture:
    """A diagram. svg: its text. source: of what it shows. wide: shown as wide as it is."""

    id: str
    title: str
    svg: Markup
    source: str
    note: str = ""
    kind: str = "picture"


@dataclass(frozen=True)
class Chart:
    """A chart of the objects at a source.

    label: what each of them is called for readers of the screen, as ``str.format`` takes it; the
    marks of the picture have these labels. svg, narrow: the pictures for a desktop and a telephone.
    keys: (name, colour) of what is told by colour.
    """

    id: str
    title: str
    svg: Markup
    narrow: Markup
    source: str
    label: str
    mark: Mark | None = None
    note: str = ""
    keys: tuple[tuple[str, str], ...] = ()
    kind: str = "chart"


@dataclass(frozen=True)
class Missing:
    """Figures that the page has not. command: that gives them."""

    what: str
    why: str
    command: str
    kind: str = "missing"


Block = Cards | Table | Picture | Chart | Missing


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading. lead: what it tells, in a sentence."""

    id: str
    title: str
    lead: str
    blocks: tuple[Block, ...] = field(default_factory=tuple)


def rows_of(
    documents: Documents, source: str, columns: Iterable[Column]
) -> tuple[tuple[Figure, ...], ...]:
    """A row for each object of the list at a source."""
    columns = tuple(columns)
    return tuple(
        tuple(figure(documents, f"{source}/{number}/{c.key}", c.form) for c in columns)
        for number in range(len(documents.at(source)))
    )


def columns_of(*columns: tuple[str, str, str]) -> tuple[Column, ...]:
    """Columns of (title, key, form)."""
    return tuple(Column(*one) for one in columns)
