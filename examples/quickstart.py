"""Write at the writer, read next door: `DATABASE_URL=$(globaldb lab url --region R)`."""

from __future__ import annotations

import os

import globaldb


def main() -> None:
    with globaldb.connect(os.environ["DATABASE_URL"], autocommit=True) as conn:
        conn.execute("CREATE TABLE IF NOT EXISTS visits (page text, at timestamptz)")
        conn.execute("INSERT INTO visits VALUES (%s, now())", ("/",))
        print("written:", conn.last_route)
        [(count,)] = conn.execute("SELECT count(*) FROM visits")
        print("visits:", count)
        print("read:", conn.last_route)


if __name__ == "__main__":
    main()
