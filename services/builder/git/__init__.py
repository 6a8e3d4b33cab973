"""Fetches code with git: from a URL that a stranger wrote to an archive of one commit."""
