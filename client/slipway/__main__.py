"""`python -m slipway` is the command line."""

from slipway.cli import main

raise SystemExit(main())
