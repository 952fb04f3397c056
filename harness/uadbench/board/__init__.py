"""The leaderboard of a protocol: ranked rows, one self-contained page, tables, example pictures."""

from uadbench.board.captions import Caption, caption
from uadbench.board.citing import bibtex
from uadbench.board.drawing import pair
from uadbench.board.facts import Facts, facts_of
from uadbench.board.page import render_page, write_board
from uadbench.board.pictures import Picture, pictures
from uadbench.board.records import comma_separated
from uadbench.board.reporting import paragraph
from uadbench.board.rows import Cell, Entry, Leaderboard, Row, group, leaderboard
from uadbench.board.tables import latex, markdown, short_markdown, terminal_table

__all__ = ["Caption", "Cell", "Entry", "Facts", "Leaderboard", "Picture", "Row", "bibtex", "caption", "comma_separated",
           "facts_of", "group", "latex", "leaderboard", "markdown", "pair", "paragraph", "pictures", "render_page",
           "short_markdown", "terminal_table", "write_board"]  # fmt: skip
