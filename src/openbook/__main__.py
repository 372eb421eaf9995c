"""`python -m openbook` is `openbook`."""

from openbook.app.cli import main

main()
