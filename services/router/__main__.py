"""`python -m services.router`: one router as a process of its own."""

from services.router.main import main

main()
