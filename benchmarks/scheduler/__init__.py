"""How fast the queue is, and how well it packs: real decisions, real statements, no target."""
