"""A small shop on Django, which tests look at from inside."""
