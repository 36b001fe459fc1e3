"""Connections and cursors in PyMySQL's form."""
