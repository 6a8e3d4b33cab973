"""`python -m services.api`: the API as a process of its own."""

from services.api.main import main

main()
