"""Target BM1684."""
