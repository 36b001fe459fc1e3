"""PyMySQL's own tests, run through globaldb."""
