"""Downloads against a server on this machine that drops, truncates, lies and forgets."""

import contextlib
import errno
import hashlib
import os
import pickle
import re
import sys
import threading
import time
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hldm.data import DataError
from hldm.data.download import SOURCES, SUMS, DownloadError, Source, _Fetcher, download
from hldm.data.sums import read_sums

MODULE = sys.modules["hldm.data.download"]  # as an attribute, `download` is the function
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
        self.server.requests.append(name)
        script = self.server.script[name]
        step = script.pop(0) if len(script) > 1 or (script and script[0][-1] != "*") else (script or ["ok"])[0]
        step = step.rstrip("*")  # "404*" stays, "404" happens once
        body = self.server.files.get(name)
        if step.isdigit() or body is None:
            return self.answer(int(step) if step.isdigit() else 404, b"")
        if step == "wrong":
            body = b"?" * len(body)
        if step == "drop":
            return self.answer(200, body[: len(body) // 2], claimed=len(body))
        if step == "trickle":
            self.answer(200, b"", claimed=len(body))
            for _ in range(20):
                self.wfile.write(b"?")
                time.sleep(0.02)
            return None
        if step == "endless":
            self.answer(200, b"", claimed=10**12)
            with contextlib.suppress(OSError):
                while True:
                    self.wfile.write(body)
        if step == "truncate":
            body = body[: len(body) // 2]
        return self.answer(200, body)

    def answer(self, status, body, claimed=None):
        self.send_response(status)
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
    monkeypatch.setattr(MODULE, "sleep", lambda seconds: None)
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
        return download(source, tmp_path / source.name, **{"retries": 2, "progress": False, **options})

    return fetch


def content(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_brings_every_file_and_leaves_nothing_else(server, fetch, tmp_path):
    folder = fetch()
    assert content(folder) == server.files
    assert [p.name for p in tmp_path.iterdir()] == ["small"]


def test_a_complete_set_is_not_fetched_again(server, fetch):
    fetch()
    server.requests.clear()
    fetch()
    assert server.requests == []


def test_an_interrupted_download_fetches_only_what_is_missing(server, fetch, tmp_path):
    server.script[WAV] = ["drop", "503*"]
    with pytest.raises(DownloadError, match=re.escape(f"{server.url}/{WAV}")):
        fetch(connections=1)
    assert not (tmp_path / "small").exists()
    there = set(content(tmp_path / "small.partial" / "small"))
    assert {SUMS, "training_data.csv"} <= there <= {SUMS, *FILES} - {WAV}

    server.script.clear()
    server.requests.clear()
    assert content(fetch(connections=1)) == server.files
    assert sorted(server.requests) == sorted({SUMS, *FILES} - there | {SUMS})
    assert [p.name for p in tmp_path.iterdir()] == ["small"]


def test_what_a_killed_process_left_is_gone_after_the_next_run(server, fetch, tmp_path):
    server.script[WAV] = ["404*"]
    with pytest.raises(DownloadError):
        fetch()
    (tmp_path / "small.partial" / "small" / (WAV + ".part")).write_bytes(b"half")
    server.script.clear()
    assert content(fetch()) == server.files


def test_a_folder_of_somebody_else_is_left_alone(server, fetch, tmp_path):
    (tmp_path / "small.partial").mkdir()
    (tmp_path / "small.partial" / "thesis.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"small\.partial is in the way"):
        fetch()
    assert content(tmp_path) == {"small.partial/thesis.txt": b"mine"}
    assert server.requests == []


def test_a_finished_file_that_rotted_is_fetched_again(server, fetch, tmp_path):
    server.script[WAV] = ["404*"]
    with pytest.raises(DownloadError):
        fetch(connections=1)
    (tmp_path / "small.partial" / "small" / "training_data.csv").write_bytes(b"rotten")
    server.script.clear()
    assert content(fetch()) == server.files


def test_a_full_disk_is_said_and_nothing_half_is_left(server, fetch, tmp_path, monkeypatch):
    transfer = _Fetcher._transfer

    def full(self, name, file):
        transfer(self, name, file)
        if name == WAV:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)

    monkeypatch.setattr(_Fetcher, "_transfer", full)
    with pytest.raises(OSError, match="No space left"):
        fetch(connections=1)
    assert not (tmp_path / "small").exists()
    assert set(content(tmp_path / "small.partial" / "small")) <= {SUMS, *FILES} - {WAV}
    monkeypatch.setattr(_Fetcher, "_transfer", transfer)
    assert content(fetch()) == server.files


def test_a_server_that_sends_no_end_is_stopped(server, fetch, tmp_path):
    server.script[WAV] = ["endless"]
    source = Source("small", server.url, size=0, largest=10**6)
    with pytest.raises(DownloadError, match=r"1_AV\.wav.*more than 1,000,000 bytes"):
        fetch(source)
    assert len(content(tmp_path / "small.partial" / "small").get(WAV, b"")) == 0


def test_a_server_that_trickles_is_given_up(server, fetch, monkeypatch):
    monkeypatch.setattr(MODULE, "PATIENCE", 0.1)
    server.script[WAV] = ["trickle", "ok"]
    assert content(fetch()) == server.files
    server.script[WAV] = ["trickle*"]
    with pytest.raises(DownloadError, match="bytes a second"):
        fetch(Source("other", server.url, size=0))


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
    assert len([name for name in server.requests if name == WAV]) == 3


def test_a_file_the_server_lacks_is_named_at_once(server, fetch, tmp_path):
    del server.files[WAV]
    with pytest.raises(DownloadError, match=r"1_AV\.wav.* HTTP 404 .*expected HTTP 200"):
        fetch()
    assert len([name for name in server.requests if name == WAV]) == 1
    assert not (tmp_path / "small").exists()


def test_nobody_there(fetch):
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1:9/set/SHA256SUMS\.txt: ConnectionError"):
        fetch(mirror="http://127.0.0.1:9/set")


@pytest.mark.parametrize(
    "name", ["../outside.txt", "/etc/outside", "a/../../outside", "C:/outside", "a\\..\\outside", "link/outside"]
)
def test_no_name_leaves_the_folder(server, fetch, tmp_path, name):
    (tmp_path / "small.partial" / "small").mkdir(parents=True)
    (tmp_path / "small.partial" / ".hldm").touch()
    (tmp_path / "small.partial" / "small" / "link").symlink_to(tmp_path)
    server.files[SUMS] = sums_of({**FILES, name: b"x"})
    source = Source("small", server.url, size=0)
    with pytest.raises(DataError, match=r"SHA256SUMS\.txt: line 5: .*expected a file inside the folder"):
        fetch(source)
    assert not (tmp_path / "outside.txt").exists()
    assert set(server.requests) == {SUMS}


@given(st.text(min_size=1).filter(lambda name: name.strip() == name and len(name.splitlines()) == 1))
def test_whatever_the_sums_say_stays_inside(tmp_path_factory, name):
    folder = tmp_path_factory.getbasetemp()
    (folder / SUMS).write_text(f"{'0' * 64} {name}\n", encoding="utf-8", errors="replace")
    try:
        names = read_sums(folder)
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


def test_an_error_comes_whole_out_of_another_process():
    error = DownloadError("a.wav", "http://a/a.wav", "HTTP 404", "HTTP 200")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
