"""Serve a built site on this machine, as the hosts of pages do: with parts of files, which players seek with."""

from __future__ import annotations

import http.server
import io
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http import HTTPStatus
from pathlib import Path


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Python's own, which answers no request for a part (RFC 9110, section 14), without its log."""

    def log_message(self, *_):
        pass

    def handle(self):
        with suppress(ConnectionError):  # a browser may leave before an answer is complete
            super().handle()

    def send_head(self):
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        path = Path(self.translate_path(self.path))
        if not asked or not path.is_file():
            return super().send_head()
        content = path.read_bytes()
        first, last = int(asked[1]), min(int(asked[2] or len(content)), len(content) - 1)
        if first > last:
            self.send_error(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
            return None
        self.send_response(HTTPStatus.PARTIAL_CONTENT)
        self.send_header("Content-Type", self.guess_type(str(path)))
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        self.send_header("Content-Length", str(last - first + 1))
        self.end_headers()
        return io.BytesIO(content[first : last + 1])

    def end_headers(self):
        self.send_header("Accept-Ranges", "bytes")
        super().end_headers()


@contextmanager
def served(site: Path, port: int = 0) -> Iterator[str]:
    """Serve a folder while the context lasts; gives its address. Port 0 stands for any that is free."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), partial(_Handler, directory=site)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
