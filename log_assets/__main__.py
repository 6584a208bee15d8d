"""`python -m log_assets` is `log-assets`."""

from log_assets.cli import main

main()
