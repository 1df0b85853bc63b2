"""``make bench-scale ROWS=10000000``: what views cost on a tenth of the rows and on all. Parts:

python -m benchmarks.scale [views] [pages] [storage]
"""

from __future__ import annotations

import argparse
import time

from benchmarks.fresh import fresh_database
from benchmarks.scale import pages, storage, views
from benchmarks.scale.rows import END, fill
from cajanegra.storage.database import Database
from cajanegra.storage.optional_indexes import add
from cajanegra.storage.rollups.rebuilding import rebuild

PARTS = ("views", "pages", "storage")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; default is all")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--day", type=int, default=1_000_000, help="calls of the day that goes")
    parser.add_argument("--rounds", type=int, default=5, help="of each view; the median counts")
    parser.add_argument("--db", choices=["sqlite", "postgresql", "both"], default="both")
    asked = parser.parse_args()
    if unknown := set(asked.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(unknown)}; there is: {', '.join(PARTS)}")
    parts = asked.parts or PARTS
    if "storage" in parts and asked.db != "sqlite":
        print(f"\npostgresql, {asked.rows:,} calls of 30 days in plain and in partitioned storage")
        with fresh_database("postgresql") as converted:
            storage.conversion(converted, asked.rows)
        with fresh_database("postgresql") as plain, fresh_database("postgresql") as parted:
            storage.measure(plain, parted, asked.rows, asked.day)
    if not {"views", "pages"}.intersection(parts):
        return
    for kind in ("sqlite", "postgresql"):
        if asked.db in (kind, "both"):
            small: views.Times = {}
            for rows in (asked.rows // 10, asked.rows):
                with fresh_database(kind) as database:
                    print(f"\n{kind}, {rows:,} calls of 30 days")
                    _prepare(database, rows)
                    if "views" in parts:
                        small = views.measure(database, asked.rounds, small)
                    if "pages" in parts and rows == asked.rows:
                        pages.measure(database, rows, asked.rounds)
                        begin = time.perf_counter()
                        add(database, ())
                        took = time.perf_counter() - begin
                        print(f"\nwith the indexes of 'cajanegra db index', added in {took:.0f} s")
                        pages.measure(database, rows, asked.rounds)


def _prepare(database: Database, rows: int) -> None:
    begin = time.perf_counter()
    fill(database, rows)
    filled = time.perf_counter()
    rebuild(database, END)
    print(f"made in {filled - begin:.0f} s, counted in {time.perf_counter() - filled:.0f} s", flush=True)


if __name__ == "__main__":
    main()
