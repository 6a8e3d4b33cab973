"""Why jobs are as they are: pure functions over what was read."""
