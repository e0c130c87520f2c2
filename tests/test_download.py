"""Downloads against a server on this machine that drops, truncates, lies and forgets."""

import hashlib
import re
import threading
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from urllib.parse import unquote, urlsplit

import pooch.core
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hldm.data import DataError
from hldm.data.download import SOURCES, SUMS, DownloadError, Source, download, read_sums

FILES = {
    "training_data.csv": b"Patient ID,Murmur\n1,Absent\n",
    "training_data/1_AV.wav": bytes(range(256)) * 800,  # 200 kB: several blocks
    "training_data/1_AV.hea": b"1_AV 1 4000 102400\r\n",
    "notes/with space #1.txt": b"a name that needs quoting",
}
WAV = "training_data/1_AV.wav"


def sums_of(files: dict[str, bytes]) -> bytes:
    return "".join(f"{hashlib.sha256(body).hexdigest()} {name}\n" for name, body in files.items()).encode()


class Handler(BaseHTTPRequestHandler):
    """Serves `server.files`; `server.script[name]` is a list of what to do wrong, one entry per request."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        name = unquote(urlsplit(self.path).path).removeprefix("/set/")
        wanted = self.headers.get("Range")
        self.server.requests.append((name, wanted))
        script = self.server.script[name]
        step = script.pop(0) if len(script) > 1 or (script and script[0][-1] != "*") else (script or ["ok"])[0]
        step = step.rstrip("*")  # "404*" stays, "404" happens once
        body = self.server.files.get(name)
        if step.isdigit() or body is None:
            return self.answer(int(step) if step.isdigit() else 404, b"")
        if step == "wrong":
            body = b"?" * len(body)
        start = 0
        if wanted and step != "no-range":
            start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])
            if start >= len(body):
                return self.answer(416, b"", {"Content-Range": f"bytes */{len(body)}"})
        part = body[start:]
        headers = {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"} if start else {}
        if step == "drop":
            return self.answer(206 if start else 200, part[: len(part) // 2], headers, claimed=len(part))
        if step == "truncate":
            part = part[: len(part) // 2]
        return self.answer(206 if start else 200, part, headers)

    def answer(self, status, body, headers=(), claimed=None):
        self.send_response(status)
        for key, value in dict(headers).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body) if claimed is None else claimed))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = claimed is not None

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(pooch.core, "time", SimpleNamespace(sleep=lambda seconds: None))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.files = {**FILES, SUMS: sums_of(FILES)}
    server.script, server.requests = defaultdict(list), []
    server.url = f"http://127.0.0.1:{server.server_port}/set"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def fetch(server, tmp_path):
    source = Source("small", server.url, size=300_000, files=len(FILES))

    def fetch(source=source, **options):
        return download(source, tmp_path / "small", **{"retries": 2, "progress": False, **options})

    return fetch


def content(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def requests_for(server, name):
    return [wanted for asked, wanted in server.requests if asked == name]


def assert_resumed(ranges, arrived):
    """Each request asks for what follows the bytes that had arrived; less than a block may be asked for again."""
    starts = [int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) for wanted in ranges]
    assert len(starts) == len(arrived)
    assert all(0 <= came - start <= 8192 for start, came in zip(starts, arrived, strict=True))


def test_brings_every_file_and_leaves_nothing_else(server, fetch, tmp_path):
    folder = fetch()
    assert content(folder) == server.files
    assert [p.name for p in tmp_path.iterdir()] == ["small"]


def test_a_complete_set_is_not_fetched_again(server, fetch):
    fetch()
    server.requests.clear()
    fetch()
    assert server.requests == []


def test_a_dropped_connection_is_resumed_inside_the_file(server, fetch):
    server.script[WAV] = ["drop", "drop", "ok"]
    folder = fetch()
    assert content(folder) == server.files
    first, *resumed = requests_for(server, WAV)
    assert first is None
    assert_resumed(resumed, [len(FILES[WAV]) / 2, len(FILES[WAV]) * 3 / 4])


def test_an_interrupted_download_fetches_only_what_is_missing(server, fetch, tmp_path):
    server.script[WAV] = ["drop", "503*"]
    with pytest.raises(DownloadError, match=re.escape(f"{server.url}/{WAV}")):
        fetch(connections=1)
    assert not (tmp_path / "small").exists()
    there = set(content(tmp_path / "small.partial"))
    assert {"training_data.csv", WAV + ".part"} <= there

    server.script.clear()
    server.requests.clear()
    assert content(fetch(connections=1)) == server.files
    assert_resumed(requests_for(server, WAV), [len(FILES[WAV]) / 2])
    assert requests_for(server, "training_data.csv") == []


def test_a_finished_file_that_rotted_is_fetched_again(server, fetch, tmp_path):
    server.script[WAV] = ["404*"]
    with pytest.raises(DownloadError):
        fetch(connections=1)
    (tmp_path / "small.partial" / "training_data.csv").write_bytes(b"rotten")
    server.script.clear()
    assert content(fetch()) == server.files


def test_a_server_that_ignores_range_still_yields_the_file(server, fetch):
    server.script[WAV] = ["drop", "no-range"]
    assert content(fetch()) == server.files


def test_a_part_that_is_already_whole_is_kept(server, fetch, tmp_path):
    part = tmp_path / "small.partial" / (WAV + ".part")
    part.parent.mkdir(parents=True)
    part.write_bytes(FILES[WAV])
    assert content(fetch()) == server.files
    assert requests_for(server, WAV) == [f"bytes={len(FILES[WAV])}-"]


@pytest.mark.parametrize("fault", ["truncate", "wrong", "500", "429", "drop"])
def test_a_passing_fault_is_survived(server, fetch, fault):
    server.script[WAV] = [fault]
    assert content(fetch()) == server.files


@pytest.mark.parametrize("fault", ["truncate*", "wrong*"])
def test_bytes_that_stay_wrong_are_refused(server, fetch, tmp_path, fault):
    server.script[WAV] = [fault]
    with pytest.raises(DataError) as caught:
        fetch()
    digest = hashlib.sha256(FILES[WAV]).hexdigest()
    assert WAV in str(caught.value)
    assert f"sha256:{digest} from {server.url}/{WAV}" in str(caught.value)
    assert not (tmp_path / "small").exists()
    assert len(requests_for(server, WAV)) == 3


def test_a_file_the_server_lacks_is_named_at_once(server, fetch, tmp_path):
    del server.files[WAV]
    with pytest.raises(DownloadError, match=r"1_AV\.wav.* HTTP 404 .*expected HTTP 200"):
        fetch()
    assert len(requests_for(server, WAV)) == 1
    assert not (tmp_path / "small").exists()


def test_nobody_there(fetch):
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1:9/set/SHA256SUMS\.txt: ConnectionError"):
        fetch(mirror="http://127.0.0.1:9/set")


@pytest.mark.parametrize(
    "name", ["../outside.txt", "/etc/outside", "a/../../outside", "C:/outside", "a\\..\\outside", "link/outside"]
)
def test_no_name_leaves_the_folder(server, fetch, tmp_path, name):
    (tmp_path / "small.partial").mkdir()
    (tmp_path / "small.partial" / "link").symlink_to(tmp_path)
    server.files[SUMS] = sums_of({**FILES, name: b"x"})
    source = Source("small", server.url, size=0)
    with pytest.raises(DataError, match=r"SHA256SUMS\.txt: line 5: .*expected a file inside the folder"):
        fetch(source)
    assert not (tmp_path / "outside.txt").exists()
    assert {asked for asked, _ in server.requests} == {SUMS}


@given(st.text(min_size=1).filter(lambda name: name.strip() == name and len(name.splitlines()) == 1))
def test_whatever_the_sums_say_stays_inside(tmp_path_factory, name):
    folder = tmp_path_factory.getbasetemp()
    (folder / SUMS).write_text(f"{'0' * 64} {name}\n", encoding="utf-8", errors="replace")
    try:
        names = read_sums(Source("any", "", size=0), folder)
    except DataError:
        return
    assert all((folder / n).resolve().is_relative_to(folder.resolve()) for n in names)


@pytest.mark.parametrize(
    ("sums", "message"),
    [
        (b"<html>moved</html>\n", "line 1: found '<html>moved</html>'"),
        (b"", "found 0, expected 4 files"),
        (sums_of({"a": b"1"}), "found 1, expected 4 files"),
        (sums_of({"a": b"1"}) + sums_of({"a": b"2"}), "line 2: found 'a', expected one sum per file"),
    ],
)
def test_sums_that_are_no_sums(server, fetch, sums, message):
    server.files[SUMS] = sums
    with pytest.raises(DataError, match=re.escape(message)):
        fetch()


def test_another_release_is_recognised_by_its_fingerprint(server, fetch):
    rows = "".join(sorted(sums_of(FILES).decode().splitlines(keepends=True)))
    rows = "".join(row for row in rows.splitlines(keepends=True) if " training_data/" in row)
    right = ("training_data/", hashlib.sha256(rows.encode()).hexdigest())
    with pytest.raises(DataError, match="training_data/1_AV"):
        fetch(Source("small", server.url, size=0, fingerprint=("training_data/1_AV", "0" * 64)))
    assert fetch(Source("small", server.url, size=0, fingerprint=right)).is_dir()


def test_too_little_disk_is_said_before_anything_is_fetched(server, fetch, tmp_path):
    with pytest.raises(DownloadError, match=r"MB are free; expected room for 1,000,000,000,000 MB"):
        fetch(Source("small", server.url, size=10**18))
    assert server.requests == []
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_else_is_left_alone(server, fetch, tmp_path):
    fetch()
    (tmp_path / "small" / WAV).write_bytes(b"edited")
    with pytest.raises(DataError, match=r"1_AV\.wav: sha256: .*move the folder away"):
        fetch()
    assert (tmp_path / "small" / WAV).read_bytes() == b"edited"


def test_a_mirror_and_a_proxy(server, fetch, monkeypatch):
    elsewhere = Source("small", "http://publisher.invalid/set", size=0)
    assert content(fetch(elsewhere, mirror=server.url + "/")) == server.files


def test_a_proxy_from_the_environment(server, fetch, monkeypatch):
    monkeypatch.setenv("http_proxy", server.url.removesuffix("/set"))
    assert content(fetch(Source("small", "http://publisher.invalid/set", size=0))) == server.files


def test_unknown_set_and_mirror_that_is_no_address():
    with pytest.raises(DataError, match="dataset: found 'circo', expected one of circor"):
        download("circo")
    with pytest.raises(DataError, match="mirror: found '/media/usb'"):
        download("circor", mirror="/media/usb")


def test_the_fingerprint_is_that_of_the_real_sums(circor):
    source = SOURCES["circor"]
    rows = [line.split(maxsplit=1) for line in (circor.root / SUMS).read_text().splitlines()]
    rows = sorted(f"{digest} {name}\n" for digest, name in rows if name.startswith(source.fingerprint[0]))
    assert hashlib.sha256("".join(rows).encode()).hexdigest() == source.fingerprint[1]
