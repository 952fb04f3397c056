"""The leaderboard of a protocol: ranked rows, one self-contained page, tables, example pictures."""

from uadbench.board.drawing import overlay
from uadbench.board.facts import Facts, facts_of
from uadbench.board.page import render_page, write_board
from uadbench.board.pictures import Picture, pictures
from uadbench.board.rows import Cell, Entry, Leaderboard, Row, group, leaderboard
from uadbench.board.tables import latex, markdown, terminal_table

__all__ = ["Cell", "Entry", "Facts", "Leaderboard", "Picture", "Row", "facts_of", "group", "latex", "leaderboard",
           "markdown", "overlay", "pictures", "render_page", "terminal_table", "write_board"]  # fmt: skip
