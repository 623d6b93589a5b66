"""Files beside the WebSocket: what is handed out with which words around it, and what never is, over real sockets."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import os
import random
import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import mqtt5
import pytest

from edge.errors import UsageError
from edge.mqtt.broker.folders import Folders, Unserved, names_of, read_route
from edge.mqtt.broker.limits import Limits
from edge.mqtt.broker.pages import PAGE, WAITING_MAX
from tests.conftest import EDGE, ROOT, embedded_broker, free_port, wait_for_port, wait_until
from tests.edge.mqtt.raw import Raw, inside, listening, log_of, resident

SECRET = b"nobody is to see this"
KINDS = {
    "a.html": "text/html; charset=utf-8",
    "a.HTM": "text/html; charset=utf-8",
    "a.js": "text/javascript; charset=utf-8",
    "a.css": "text/css; charset=utf-8",
    "a.json": "application/json; charset=utf-8",
    "a.txt": "text/plain; charset=utf-8",
    "a.md": "text/plain; charset=utf-8",
    "a.svg": "image/svg+xml; charset=utf-8",
    "a.pdf": "application/pdf",
    "a.png": "image/png",
    "a.jpeg": "image/jpeg",
    "a.webp": "image/webp",
    "a.woff2": "font/woff2",
    "a.exe": "application/octet-stream",
    "a": "application/octet-stream",
    "html": "application/octet-stream",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A page, documents, and beside them what is nobody's to see, in the ways that might lead there."""
    folder = tmp_path_factory.mktemp("pages")
    for name in ("page", "page/languages", "page/.git", "documents", "documents/sub", "outside"):
        (folder / name).mkdir()
    for name in ("outside/secret.txt", "page/.env", "page/.git/config", "secret.txt"):
        (folder / name).write_bytes(SECRET)
    (folder / "page/index.html").write_text("<!doctype html><p>the page")
    (folder / "page/languages/de.json").write_text('{"ask": "Fragen"}')
    (folder / "page/Grüße & mehr.txt").write_text("hello")
    (folder / "page/large.js").write_text("".join(f"line({number});\n" for number in range(40_000)))
    (folder / "page/kiosk.json").write_text("{}")
    for name in KINDS:
        (folder / "page" / name).write_text("x")
        (folder / "documents" / name).write_text("x")
    (folder / "documents/sub/deep.html").write_text("<p>deep")
    (folder / "page/link.txt").symlink_to(folder / "outside/secret.txt")
    (folder / "page/near.txt").symlink_to("index.html")
    (folder / "page/linked").symlink_to(folder / "outside")
    (folder / "page/hard").mkdir()
    os.mkfifo(folder / "page/pipe.txt")
    with socket.socket(socket.AF_UNIX) as made, contextlib.chdir(folder / "page"):
        made.bind("socket.txt")
    with contextlib.suppress(PermissionError):
        os.mknod(folder / "page/device.txt", 0o20666, os.makedev(1, 5))
    return folder


@pytest.fixture(scope="module")
def way(folder, tmp_path_factory) -> Iterator[tuple[int, int]]:
    """A broker process that hands them out: its port, and its WebSocket's."""
    port = free_port()
    extra = [f"--serve=/={folder / 'page'}", f"--serve=/documents/museum={folder / 'documents'}"]
    broker = tmp_path_factory.mktemp("broker")
    with embedded_broker(broker, websocket_port=port, extra=extra) as tcp:
        yield tcp, port
    assert not {"Traceback", "fault"} & set(log_of(broker).split())


def get(port: int, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """A whole request: status, headers and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, dict(answer.getheaders()), body


def raw(port: int, request: bytes, seconds: float = 20) -> bytes:
    """What comes back on bytes of our own, up to the connection's end."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as made:
        made.sendall(request)
        return b"".join(iter(lambda: made.recv(1 << 16), b""))


def status_of(port: int, path: bytes) -> tuple[int, bytes]:
    """What a path is answered that no library would send: status, and all of the answer."""
    answer = raw(port, b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return int(answer.split()[1]) if answer else 0, answer


# --- what is handed out ---


def test_the_page_is_at_the_root(way):
    """`/` gives index.html with the page's rules; a file below a folder and one with odd letters are had, too."""
    status, headers, body = get(way[1], "/")
    assert (status, body) == (200, b"<!doctype html><p>the page")
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert "frame-ancestors 'self'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Opener-Policy"] == headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Permissions-Policy"].startswith("camera=(self)")
    assert headers["Cache-Control"] == "no-cache"
    assert "Server" not in headers
    assert get(way[1], "/?a=b")[2] == body
    assert get(way[1], "/languages/de.json")[2] == b'{"ask": "Fragen"}'
    assert get(way[1], quote("/Grüße & mehr.txt"))[2] == b"hello"


@pytest.mark.checkout
def test_the_kiosks_page_has_the_same_rules():
    """What its file says for any server, the broker says in a header, and who may have it in a frame."""
    text = (ROOT / "deploy/kiosk/dist/index.html").read_text()
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', text)
    assert f"{policy}; frame-ancestors 'self'" == PAGE


@pytest.mark.parametrize("name", KINDS)
def test_what_a_file_is(way, name):
    """By its name's end alone; among documents nothing is a script or a style."""
    assert get(way[1], f"/{name}")[1]["Content-Type"] == KINDS[name]
    text = name.endswith((".js", ".css"))
    _, headers, _ = get(way[1], f"/documents/museum/{name}")
    assert headers["Content-Type"] == (KINDS["a.txt"] if text else KINDS[name])


def test_documents_are_shown_and_never_run(way):
    """A sandbox without scripts, the longest prefix's folder, its own index or none."""
    status, headers, body = get(way[1], "/documents/museum/sub/deep.html")
    assert (status, body) == (200, b"<p>deep")
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("sandbox; default-src 'none';")
    assert "script" not in policy
    assert "allow" not in policy
    status, headers, _ = get(way[1], "/documents/museum")
    assert (status, headers["Location"]) == (308, "/documents/museum/")
    assert get(way[1], "/documents/museum/")[0] == 404
    assert get(way[1], "/documents/other/a.html")[0] == 404


def test_head_tells_what_get_would(way):
    """The same head, and no body; so for what is not there."""
    for path in ("/", "/large.js", "/none"):
        asked = {"Accept_Encoding": "gzip"}
        status, headers, body = get(way[1], path, "HEAD", **asked)
        other, same, whole = get(way[1], path, **asked)
        assert (status, body) == (other, b"")
        assert int(headers["Content-Length"]) == len(whole)
        assert {**headers, "Date": ""} == {**same, "Date": ""}


def test_what_a_browser_has_is_not_sent_again(way, folder):
    """304 for the same contents, by either form of the tag; anew once the file has changed."""
    path = folder / "page/kiosk.json"
    for asked in ({}, {"Accept_Encoding": "gzip"}):
        status, headers, body = get(way[1], "/kiosk.json", **asked)
        assert status == 200
        for known in (headers["ETag"], f"W/{headers['ETag']}", f'"x", {headers["ETag"]}', "*"):
            status, told, nothing = get(way[1], "/kiosk.json", If_None_Match=known, **asked)
            assert (status, nothing, told["ETag"]) == (304, b"", headers["ETag"])
        path.write_text(f'{{"title": "{time.monotonic_ns()}"}}')
        status, told, changed = get(way[1], "/kiosk.json", If_None_Match=headers["ETag"], **asked)
        assert (status, told["ETag"] != headers["ETag"], changed != body) == (200, True, True)


def test_texts_are_compressed_for_who_takes_it(way, folder):
    """Gzip where it is named and not refused; a picture as it is. Either way the length is told."""
    plain = (folder / "page/large.js").read_bytes()
    for accepted, packed in (("gzip", True), ("br, gzip;q=0.5", True), ("gzip;q=0", False), ("br", False), ("", False)):
        status, headers, body = get(way[1], "/large.js", Accept_Encoding=accepted)
        assert (status, headers.get("Content-Encoding") == "gzip", headers["Vary"]) == (200, packed, "Accept-Encoding")
        assert (gzip.decompress(body) if packed else body) == plain
        assert int(headers["Content-Length"]) == len(body)
    assert "Content-Encoding" not in get(way[1], "/a.png", Accept_Encoding="gzip")[1]


# --- what never is ---

LEADING_OUT = [
    b"/../secret.txt",
    b"/../outside/secret.txt",
    b"/languages/../../secret.txt",
    b"/%2e%2e/secret.txt",
    b"/%2E%2E/secret.txt",
    b"/.%2e/secret.txt",
    b"/..%2fsecret.txt",
    b"/..%5csecret.txt",
    b"/..\\secret.txt",
    b"/languages/..%2f..%2fsecret.txt",
    b"/%2e%2e%2fsecret.txt",
    b"/%252e%252e/secret.txt",
    b"/..%c0%afsecret.txt",
    b"/%c0%ae%c0%ae/secret.txt",
    b"/%00/../secret.txt",
    b"/index.html%00.txt",
    b"//secret.txt",
    b"//outside/secret.txt",
    b"/./index.html",
    b"/languages//de.json",
    b"/documents/museum/../../page/.env",
    b"/documents/museum/..%2f..%2fsecret.txt",
    b"/.env",
    b"/%2eenv",
    b"/.git/config",
    b"/link.txt",
    b"/near.txt",
    b"/linked/secret.txt",
    b"/linked/",
    b"/pipe.txt",
    b"/socket.txt",
    b"/device.txt",
    b"/languages",
    b"/languages/",
    b"/index.html/",
    b"/index.html/x",
    b"/" + b"a" * 300,
    b"/" + b"a/" * 2000,
    b"/%",
    b"/%zz",
    b"/%ff",
    b"/index.html%20",
    b"/index.html%0a",
    b"/~root/",
    b"/C:/windows",
]


@pytest.mark.parametrize("path", LEADING_OUT)
def test_no_path_leads_out(way, path):
    """404 with words, whatever is tried: neither outside nor links, dot files, pipes, sockets, devices, listings."""
    status, answer = status_of(way[1], path)
    assert status == 404, answer
    assert answer.partition(b"\r\n\r\n")[2].strip()
    assert SECRET not in answer


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET http://localhost/secret.txt HTTP/1.1", 400),
        (b"GET index.html HTTP/1.1", 400),
        (b"GET * HTTP/1.1", 400),
        (b"OPTIONS / HTTP/1.1", 405),
        (b"POST / HTTP/1.1", 405),
        (b"PUT /index.html HTTP/1.1", 405),
        (b"DELETE /index.html HTTP/1.1", 405),
        (b"TRACE / HTTP/1.1", 405),
        (b"CONNECT localhost:1 HTTP/1.1", 405),
        (b"get / HTTP/1.1", 405),
        (b"GET / HTTP/1.0", 200),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1", 414),
        (b"GET / HTTP/2.0", 0),
        (b"GET  / HTTP/1.1", 0),
        (b"GET /\xff HTTP/1.1", 0),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 0),
    ],
)
def test_other_requests(way, request_line, status):
    """Other methods have 405, other forms of a path 400, what is no HTTP an end without an answer."""
    answer = raw(way[1], request_line + b"\r\nHost: localhost\r\n\r\n")
    assert (int(answer.split()[1]) if answer else 0) == status
    assert (b"Allow: GET, HEAD" in answer) == (status == 405)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:9001", 200),
        ("127.0.0.1", 200),
        ("[::1]:9001", 200),
        ("192.168.1.7:9001", 200),
        ("kiosk.local", 200),
        ("box:9001", 200),
        (socket.gethostname(), 200),
        ("evil.com", 421),
        ("evil.com:9001", 421),
        ("localhost.evil.com", 421),
        ("127.0.0.1.evil.com", 421),
        ("localhost@evil.com", 421),
        ("evil.com.", 421),
        ("", 421),
        ("[::1", 421),
    ],
)
def test_a_name_of_the_internet_is_not_ours(way, host, status):
    """Whoever owns it can lead it here, and its pages would read ours as their own (DNS rebinding)."""
    assert get(way[1], "/", Host=host)[0] == status


def test_hosts_and_origins(way, tmp_path):
    """None or two hosts are 400; what --origin names is served; no page of elsewhere is told that it may read."""
    assert raw(way[1], b"GET / HTTP/1.1\r\n\r\n").split()[1] == b"400"
    assert raw(way[1], b"GET / HTTP/1.1\r\nHost: a\r\nHost: evil.com\r\n\r\n").split()[1] == b"400"
    for path in ("/kiosk.json", "/documents/museum/a.png"):
        headers = get(way[1], path, Origin="http://evil.com")[1]
        assert not [name for name in headers if name.startswith("Access-Control")]
    port = free_port()
    extra = [f"--serve=/={tmp_path}", "--origin=https://board.example.org"]
    (tmp_path / "index.html").write_text("x")
    with embedded_broker(tmp_path, websocket_port=port, extra=extra):
        assert get(port, "/", Host="board.example.org")[0] == 200
        assert get(port, "/", Host="other.example.org")[0] == 421


def test_a_body_that_comes_with_it(way):
    """What a request brings along is neither read nor kept: it ends, and the broker says no word of its own faults."""
    for request in (
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 4\r\n\r\nabcd",
    ):
        with contextlib.suppress(ConnectionError):
            assert raw(way[1], request) == b""


def test_a_fuzz_of_paths_never_leaves_the_folder(folder, way):
    """Thousands of paths put together out of what might lead out: a file of the folder, or no file at all."""
    seed = int(os.environ.get("FUZZ_SEED", "7"))
    chance = random.Random(seed)
    pieces = ["..", ".", "/", "//", "\\", "%2e", "%2f", "%5c", "%00", "%25", "%c0%ae", "%e2%80%ae", "secret.txt"]
    pieces += ["outside", "link.txt", "linked", "pipe.txt", "device.txt", ".env", ".git", "config", "a.txt"]
    pieces += ["index.html", "languages", "de.json", "documents", "museum", "page", "\t", "\n", "é", "?", "#", ";", " "]
    folders = Folders([read_route(f"/={folder / 'page'}"), read_route(f"/documents/museum={folder / 'documents'}")])
    allowed = {each.stat().st_ino for each in folder.rglob("*") if each.is_file() and not each.is_symlink()}
    allowed -= {(folder / name).stat().st_ino for name in ("secret.txt", "outside/secret.txt", "page/.env")}
    found = 0
    for _ in range(20_000):
        path = "/" + "".join(chance.choice(pieces) for _ in range(chance.randint(1, 8)))
        with contextlib.suppress(Unserved):
            opened = folders.open(*folders.find(path))
            assert opened.inode in allowed, (seed, path)
            assert SECRET not in opened.read(0, opened.size), (seed, path)
            opened.close()
            found += 1
        if chance.random() < 0.02 and not {" ", "\n", "é"} & set(path):
            assert SECRET not in status_of(way[1], path.encode())[1], (seed, path)
    assert found > 100
    assert get(way[1], "/")[0] == 200


def test_a_fuzz_of_requests(way, folder):
    """Requests that are cut, doubled and sprinkled with bytes: an answer of ours or an end, and MQTT goes on."""
    seed = int(os.environ.get("FUZZ_SEED", "11"))
    chance = random.Random(seed)
    headers = [b"Host: localhost", b"Accept-Encoding: gzip;q=1, *", b'If-None-Match: "x", W/"y"', b"Connection: close"]
    headers += [b"Content-Length: 0", b"Upgrade: websocket", b"Origin: http://a", b"Range: bytes=0-1", b"Host: b"]
    headers += [b"Sec-WebSocket-Key: x", b"Sec-WebSocket-Version: 13", b"X: " + b"y" * 9000]
    seen = set()
    with Raw(way[0], "bystander") as bystander:
        for _ in range(1500):
            line = chance.choice([b"GET", b"HEAD", b"POST"]) + chance.choice([b" / ", b" /a.js ", b" /x ", b" "])
            lines = [line + chance.choice([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/3"]), *chance.sample(headers, 4)]
            request = bytearray(b"\r\n".join([*lines, b"", b""]))
            for _ in range(chance.choice([0, 0, 1, 3])):
                request[chance.randrange(len(request))] = chance.randrange(256)
            if chance.random() < 0.1:
                request *= 2
            with (
                socket.create_connection(("127.0.0.1", way[1]), timeout=20) as made,
                contextlib.suppress(ConnectionError),
            ):
                made.sendall(request)
                made.shutdown(socket.SHUT_WR) if chance.random() < 0.3 else made.settimeout(0.05)
                with contextlib.suppress(TimeoutError):
                    answer = made.recv(1 << 16)
                    assert answer[:9] in (b"", b"HTTP/1.1 "), (seed, bytes(request))
                    assert SECRET not in answer
                    seen.add(answer[9:12])
        bystander.ping()
    assert seen >= {b"200", b"400", b"404", b"405"}
    assert get(way[1], "/")[0] == 200


def test_a_file_that_is_swapped_for_a_link_leads_nowhere(folder, tmp_path):
    """Whoever may write in the folder and is quick swaps file, folder and link all the time: nobody sees outside."""
    page, done = tmp_path / "page", threading.Event()
    (page / "sub").mkdir(parents=True)
    for name in ("file.txt", "sub/file.txt"):
        (page / name).write_text("inside")

    def swap() -> None:
        while not done.is_set():
            for name, target in (("file.txt", "outside/secret.txt"), ("sub", "outside")):
                (page / name).rename(page / "away")
                (page / name).symlink_to(folder / target)
                (page / name).unlink()
                (page / "away").rename(page / name)

    thread = threading.Thread(target=swap)
    thread.start()
    seen = set()
    folders = Folders([read_route(f"/={page}")])
    try:
        for _ in range(5_000):
            for path in ("/file.txt", "/sub/file.txt", "/sub/secret.txt"):
                with contextlib.suppress(Unserved):
                    opened = folders.open(*folders.find(path))
                    seen.add(opened.read(0, opened.size))
                    opened.close()
    finally:
        done.set()
        thread.join()
    assert seen == {b"inside"}


# --- files that change, disks and browsers that are slow ---


@contextlib.contextmanager
def asked(port: int, path: str, **headers: str) -> Iterator[http.client.HTTPResponse]:
    """A request whose answer's body is not read yet."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", path, headers=headers)
    yield connection.getresponse()
    connection.close()


@pytest.fixture
def large(tmp_path) -> Path:
    """A document of 48 MiB in a folder of its own."""
    folder = tmp_path / "large"
    folder.mkdir()
    (folder / "a.pdf").write_bytes(random.Random(1).randbytes(1 << 20) * 48)
    return folder


def served(*routes: str) -> Folders:
    """What `--serve` makes of it."""
    return Folders(map(read_route, routes))


def test_a_large_document_comes_whole(large):
    """In pieces, as it is; one that is replaced meanwhile is the old one to its end."""
    with listening(websocket_port=0, folders=served(f"/documents/x={large}")) as broker:
        data = (large / "a.pdf").read_bytes()
        assert get(broker.websocket_port, "/documents/x/a.pdf")[2] == data
        with asked(broker.websocket_port, "/documents/x/a.pdf") as answer:
            (large / "new").write_bytes(b"another")
            (large / "new").rename(large / "a.pdf")
            assert answer.read() == data
        assert get(broker.websocket_port, "/documents/x/a.pdf")[2] == b"another"


@pytest.mark.parametrize("change", ["shorter", "written"])
def test_a_file_that_changes_while_it_is_read_is_no_whole_file(large, caplog, change):
    """The browser sees that the end is missing, and the log says why; asked again, it is the new one."""
    with listening(websocket_port=0, folders=served(f"/documents/x={large}")) as broker:
        path = large / "a.pdf"
        with asked(broker.websocket_port, "/documents/x/a.pdf") as answer:
            answer.read(1000)
            with path.open("r+b") as file:
                file.truncate(1 << 20) if change == "shorter" else file.write(b"other")
            with pytest.raises((http.client.IncompleteRead, ConnectionError)):
                answer.read()
        assert get(broker.websocket_port, "/documents/x/a.pdf")[2] == path.read_bytes()
    assert sum("a file was not handed out whole: the file has changed" in each for each in caplog.messages) == 1


def test_files_that_are_too_large(tmp_path):
    """403 with both figures; a document may be larger than a file of the page."""
    (tmp_path / "a.pdf").write_bytes(bytes(2000))
    (tmp_path / "b.pdf").write_bytes(bytes(3001))
    folders = served(f"/={tmp_path}", f"/documents/x={tmp_path}")
    with listening(websocket_port=0, folders=folders, limits=Limits(page_bytes=1000, document_bytes=3000)) as broker:
        status, _, text = get(broker.websocket_port, "/a.pdf")
        assert (status, text) == (403, b"The file has 2000 bytes; up to 1000 are handed out.\n")
        assert get(broker.websocket_port, "/documents/x/a.pdf")[0] == 200
        assert get(broker.websocket_port, "/documents/x/b.pdf")[0] == 403


class SlowDisk(Folders):
    """A disk that answers once it is let."""

    def __init__(self, folders: Folders) -> None:
        super().__init__(folders._routes)
        self.may, self.waiting = threading.Event(), 0

    def open(self, routes, names):
        """Wait, then open."""
        self.waiting += 1
        assert self.may.wait(60)
        return super().open(routes, names)


def test_a_slow_disk_holds_nobody_up_but_who_reads_it(folder):
    """While every thread waits for it, MQTT over TCP and over WebSocket goes on; all files come once it answers."""
    disk = SlowDisk(served(f"/={folder / 'page'}"))
    with listening(websocket_port=0, folders=disk) as broker, Raw(broker.port, "x") as client:
        found: list[int] = []
        threads = [threading.Thread(target=lambda: found.append(get(broker.websocket_port, "/")[0])) for _ in range(12)]
        for thread in threads:
            thread.start()
        wait_until(lambda: disk.waiting >= 4)
        client.subscribe("t")
        for number in range(100):
            client.send(mqtt5.PublishPacket("t", str(number).encode()))
            assert client.next().payload == str(number).encode()
        assert found == []
        assert upgraded(broker.websocket_port)
        disk.may.set()
        for thread in threads:
            thread.join()
        assert found == [200] * 12


def test_a_disk_that_does_not_answer_is_asked_no_more(folder):
    """Those who leave meanwhile leave nothing behind that grows: 503 for the next; once it answers all is well."""
    disk = SlowDisk(served(f"/={folder / 'page'}"))
    with listening(websocket_port=0, folders=disk) as broker:
        for number in range(WAITING_MAX):
            with socket.create_connection(("127.0.0.1", broker.websocket_port)) as gone:
                gone.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                wait_until(lambda number=number: inside(broker, lambda: broker._pages._waiting) == number + 1)
        assert get(broker.websocket_port, "/")[0] == 503
        disk.may.set()
        wait_until(lambda: inside(broker, lambda: broker._pages._waiting) == 0)
        assert get(broker.websocket_port, "/")[0] == 200


def upgraded(port: int, path: str = "/mqtt") -> bool:
    """Whether a WebSocket opens."""
    lines = [f"GET {path} HTTP/1.1", "Host: localhost", "Upgrade: websocket", "Connection: Upgrade"]
    lines += [
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Protocol: mqtt",
    ]
    with socket.create_connection(("127.0.0.1", port), timeout=20) as made:
        made.sendall("\r\n".join([*lines, "", ""]).encode())
        return made.recv(100).startswith(b"HTTP/1.1 101")


def test_files_and_mqtt_at_once(large, tmp_path):
    """Eight browsers fetch 48 MiB each while a client publishes to itself: nothing is lost on either side."""
    port = free_port()
    extra = [f"--serve=/documents/x={large}"]
    with embedded_broker(tmp_path, websocket_port=port, extra=extra) as tcp, Raw(tcp, "x") as client:
        size = (large / "a.pdf").stat().st_size
        found: list[int] = []

        def fetch() -> None:
            found.append(len(get(port, "/documents/x/a.pdf")[2]))

        threads = [threading.Thread(target=fetch) for _ in range(8)]
        for thread in threads:
            thread.start()
        client.subscribe("t")
        count = 0
        while len(found) < 8 and any(thread.is_alive() for thread in threads):
            client.send(mqtt5.PublishPacket("t", str(count).encode()))
            assert client.next().payload == str(count).encode()
            count += 1
        for thread in threads:
            thread.join()
        assert found == [size] * 8
        assert count > 20


def test_who_reads_slowly_fills_no_memory_and_makes_room(large, tmp_path):
    """Ninety browsers that ask for a document and take none of it: memory stays, and the newest is served."""
    port = free_port()
    with embedded_broker(tmp_path, websocket_port=port, extra=[f"--serve=/documents/x={large}"]) as tcp:
        before = resident(tmp_path)
        slow = []
        for _ in range(90):
            made = socket.create_connection(("127.0.0.1", port), timeout=20)
            made.sendall(b"GET /documents/x/a.pdf HTTP/1.1\r\nHost: localhost\r\n\r\n")
            slow.append(made)
        assert len(get(port, "/documents/x/a.pdf")[2]) == 48 << 20
        assert resident(tmp_path) - before < 60 << 20
        with Raw(tcp, "x") as client:
            client.ping()
        for made in slow:
            made.close()
    assert "too many wait to connect: the oldest goes" in log_of(tmp_path)


def test_a_file_takes_its_time_at_most(large):
    """Who takes one too slowly is ended."""
    limits = Limits(page_seconds=0.3)
    with (
        listening(websocket_port=0, folders=served(f"/documents/x={large}"), limits=limits) as broker,
        asked(broker.websocket_port, "/documents/x/a.pdf") as answer,
    ):
        wait_until(lambda: inside(broker, lambda: len(broker._websockets)) == 0)
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            answer.read()


def test_a_request_that_never_comes(folder):
    """Silence ends as it does for a WebSocket; half a request likewise."""
    folders = served(f"/={folder / 'page'}")
    with listening(websocket_port=0, folders=folders, limits=Limits(connect_seconds=0.3)) as broker:
        for start in (b"", b"GET / HTTP/1.1\r\nHost: localhost\r\n"):
            with contextlib.suppress(ConnectionError):
                assert raw(broker.websocket_port, start) == b""


def test_who_says_more_than_a_request(way, folder):
    """Requests and bytes after the first one's end: an answer or none, no line of a fault, and others are served."""
    first = b"GET /large.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for more in (first, bytes(1000), bytes([0x82, 0x80, 0, 0, 0, 0]), bytes([0x81, 0xFE, 255, 255]) + bytes(70_000)):
        with contextlib.suppress(ConnectionError):
            assert raw(way[1], first + more)[:15] in (b"", b"HTTP/1.1 200 OK")
    assert get(way[1], "/large.js")[2] == (folder / "page/large.js").read_bytes()


def test_too_many_websockets_leave_no_room_for_pages(folder):
    """A page counts among them: 503 with words."""
    folders = served(f"/={folder / 'page'}")
    with listening(websocket_port=0, folders=folders, limits=Limits(websockets=2)) as broker:
        held = [socket.create_connection(("127.0.0.1", broker.websocket_port)) for _ in range(2)]
        wait_until(lambda: inside(broker, lambda: len(broker._websockets)) == 2)
        status, _, text = get(broker.websocket_port, "/")
        assert (status, text) == (503, b"There are too many connections.\n")
        for made in held:
            made.close()
        wait_until(lambda: get(broker.websocket_port, "/")[0] == 200)


def test_what_is_kept_compressed_has_a_bound(tmp_path, monkeypatch):
    """The file that nobody asked for longest is compressed anew."""
    monkeypatch.setattr("edge.mqtt.broker.pages.PACKED_BYTES_MAX", 50_000)
    for number in range(8):
        (tmp_path / f"{number}.txt").write_text(random.Random(number).randbytes(10_000).hex())
    with listening(websocket_port=0, folders=served(f"/={tmp_path}")) as broker:
        for number in (*range(8), 0):
            body = get(broker.websocket_port, f"/{number}.txt", Accept_Encoding="gzip")[2]
            assert gzip.decompress(body).decode() == (tmp_path / f"{number}.txt").read_text()
            assert inside(broker, lambda: sum(map(len, broker._pages._packed.values()))) <= 50_000


def test_the_broker_stops_while_files_are_fetched(large, tmp_path):
    """It waits neither for who reads slowly nor for who is silent, and ends with 0."""
    port, tcp = free_port(), free_port()
    command = [*EDGE, "broker", f"--port={tcp}", f"--websocket-port={port}", f"--serve=/documents/x={large}"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        wait_for_port(port)
        with asked(port, "/documents/x/a.pdf") as answer, socket.create_connection(("127.0.0.1", port)):
            answer.read(10)
            process.terminate()
            assert process.wait(8) == 0
    finally:
        process.kill()
        _, errors = process.communicate()
    assert b"Traceback" not in errors


# --- the option ---


def test_two_folders_of_one_prefix(tmp_path):
    """The first that has a file hands it out; what it lacks comes out of the other."""
    for name in ("over", "under"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "kiosk.json").write_text(name)
    (tmp_path / "under/index.html").write_text("page")
    with listening(websocket_port=0, folders=served(f"/={tmp_path / 'over'}", f"/={tmp_path / 'under'}")) as broker:
        assert get(broker.websocket_port, "/kiosk.json")[2] == b"over"
        assert get(broker.websocket_port, "/")[2] == b"page"
        (tmp_path / "over/kiosk.json").unlink()
        assert get(broker.websocket_port, "/kiosk.json")[2] == b"under"


def test_websockets_open_as_before(way, tmp_path):
    """At any path, with or without folders; who asks for a page where none is gets the library's word for it."""
    assert upgraded(way[1])
    assert upgraded(way[1], "/")
    port = free_port()
    with embedded_broker(tmp_path, websocket_port=port):
        assert upgraded(port, "/")
        assert get(port, "/")[0] == 426


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--serve=/={folder}"], "--websocket-port"),
        (["--websocket-port=0", "--serve={folder}"], "is not PREFIX=FOLDER"),
        (["--websocket-port=0", "--serve=x={folder}"], "is not PREFIX=FOLDER"),
        (["--websocket-port=0", "--serve=/../x={folder}"], "is not PREFIX=FOLDER"),
        (["--websocket-port=0", "--serve=//x={folder}"], "is not PREFIX=FOLDER"),
        (["--websocket-port=0", "--serve=/x%20y={folder}"], "is not PREFIX=FOLDER"),
        (["--websocket-port=0", "--serve=/="], "is not PREFIX=FOLDER"),
        (["--websocket-port=0", "--serve=/={folder}/none"], "is no folder"),
    ],
)
def test_an_option_that_cannot_be(tmp_path, options, says):
    """Exit status 2, in a line that names it."""
    command = [*EDGE, "broker", "--port=0", *(each.format(folder=tmp_path) for each in options)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=30)
    assert (done.returncode, says in done.stderr, done.stderr.count("\n")) == (2, True, 1), done.stderr


@pytest.mark.parametrize("target", ["", "x", "http://a/b", "*"])
def test_a_target_that_is_no_path(target):
    """400."""
    with pytest.raises(Unserved) as error:
        names_of(target)
    assert error.value.status == 400


def test_a_prefix_is_names(tmp_path):
    """With or without a slash at its end, with letters of any language; where a slash is missing it is told."""
    assert read_route(f"/={tmp_path}").prefix == ()
    assert read_route(f"/documents/Grüße/={tmp_path}").prefix == ("documents", "Grüße")
    with pytest.raises(UsageError):
        read_route("/")
    with listening(websocket_port=0, folders=served(f"/documents/Grüße={tmp_path}")) as broker:
        status, headers, _ = get(broker.websocket_port, quote("/documents/Grüße"))
        assert (status, headers["Location"]) == (308, quote("/documents/Grüße/"))
