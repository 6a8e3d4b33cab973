"""What models are asked and answer, as a few numbers for each field: of their training data, and of
their traffic hour by hour, and how far these two are apart."""
