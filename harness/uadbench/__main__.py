"""`python -m uadbench` is the command `uadbench`."""

from uadbench.cli import main

main()
