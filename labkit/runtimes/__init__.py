"""The two places where a cluster can run: in virtual time, and as real processes."""
