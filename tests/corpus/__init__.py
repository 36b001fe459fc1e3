"""Statements that others wrote, and what a writer and a standby do with them."""
