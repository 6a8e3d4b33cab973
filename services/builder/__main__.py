"""`python -m services.builder`: the builder as a process of its own."""

from services.builder.main import main

if __name__ == "__main__":
    main()
