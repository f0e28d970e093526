"""Checkers: judge a history or a trace, with a counterexample where it is not legal."""
