"""`python -m services.scheduler`: the scheduler as a process of its own."""

from services.scheduler.main import main

if __name__ == "__main__":
    main()
