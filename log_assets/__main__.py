"""`python -m log_assets` is `log-assets`."""

from log_assets.commands.cli import main

main()
