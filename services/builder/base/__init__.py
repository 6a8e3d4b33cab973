"""The images that others made and ours stand on: found, kept to by digest, and looked into."""
