"""PostgreSQL's statements: text to verdict."""
