"""ClickHouse's engine (chdb) behind HTTP, run in its own environment: `python clickhouse_engine.py PORT FOLDER`.

HTTP here is as little as driftd asks of ClickHouse's server: a user's name and password in headers, the database and
settings in the address, a query as the body, an error's status and words.
"""

import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qsl, urlsplit

from chdb.session import Session

USERS = {"default": "", "driftd": "hidden pass/word"}
NOT_SET = {"database", "wait_end_of_query", "readonly"}      # of HTTP; the last would hold for all users


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        query = self.rfile.read(int(self.headers["Content-Length"])).decode()
        given = dict(parse_qsl(urlsplit(self.path).query))
        user, password = self.headers.get("X-ClickHouse-User", "default"), self.headers.get("X-ClickHouse-Key", "")
        if USERS.get(user) != password:
            self.answer(403, f"Code: 516. DB::Exception: {user}: Authentication failed".encode())
            return
        try:
            if "database" in given:
                engine.query(f"USE `{given['database']}`")
            for name in given.keys() - NOT_SET:
                engine.query(f"SET {name} = {given[name]}")
            body = engine.query(query).bytes()
        except Exception as error:  # noqa: BLE001 - whatever the engine says is the answer
            self.answer(404 if "UNKNOWN_" in str(error) else 500, str(error).encode())
        else:
            self.answer(200, body)

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: object) -> None:
        pass


engine = Session(sys.argv[2])
engine.query("CREATE DATABASE d ENGINE = Atomic")      # its own database takes the names of unknown tables for files
HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
