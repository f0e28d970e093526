"""The experiments: one module a lab."""
