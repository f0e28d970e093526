"""The program that builds the book."""
