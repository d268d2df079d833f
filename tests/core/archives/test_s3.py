"""Archives on S3: against a server of a few lines that can fail, and against a real one that checks signatures."""

import os
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest

from components.core.archives import Changed, OutsideArchive, open_archive, open_source
from components.core.archives.s3 import PART
from components.core.trouble import TryAgain
from tests.archive_files import STUDIES, write_mimic
from tests.s3_server import S3Server

boto3 = pytest.importorskip("boto3")
PAGE = 3  # keys of a page of the small server


@dataclass
class Small:
    """The objects of the small server's one bucket, and what it was asked."""

    objects: dict[str, bytes]
    asked: list[str] = field(default_factory=list)
    broken: int = 0  # how many answers still break off
    busy: int = 0  # how many are refused with SlowDown


class Handler(BaseHTTPRequestHandler):
    """ListObjectsV2 and GetObject with ranges and conditions (Amazon S3 API)."""

    protocol_version = "HTTP/1.1"
    small: Small

    def do_GET(self) -> None:
        place = urlsplit(self.path)
        self.small.asked.append(f"{place.path} {self.headers.get('Range', '')}".strip())
        query = parse_qs(place.query)
        if self.small.busy:
            self.small.busy -= 1
            self._answer(503, b"<Error><Code>SlowDown</Code></Error>")
        elif "list-type" in query:
            self._list(query["prefix"][0] if "prefix" in query else "", query.get("continuation-token", [""])[0])
        else:
            self._object(unquote(place.path).removeprefix("/bucket/"))

    def _list(self, prefix: str, after: str) -> None:
        keys = [key for key in sorted(self.small.objects) if key.startswith(prefix) and key > after]
        page, more = keys[:PAGE], len(keys) > PAGE
        contents = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(self.small.objects[key])}</Size><ETag>&quot;{self._etag(key)}&quot;"
            "</ETag></Contents>"
            for key in page
        )
        token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
        truncated = str(more).lower()
        body = f"<ListBucketResult>{contents}<IsTruncated>{truncated}</IsTruncated>{token}</ListBucketResult>"
        self._answer(200, body.encode())

    def _etag(self, key: str) -> str:
        return f"{hash(self.small.objects[key]) & 0xFFFFFFFF:08x}"

    def _object(self, key: str) -> None:
        if key not in self.small.objects:
            return self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        if self.headers.get("If-Match", f'"{self._etag(key)}"') != f'"{self._etag(key)}"':
            return self._answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
        content, headers = self.small.objects[key], {"ETag": f'"{self._etag(key)}"'}
        part = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if part is None:
            return self._answer(200, content, headers)
        if not content:
            return self._answer(416, b"<Error><Code>InvalidRange</Code></Error>")
        first, last = int(part[1]), min(int(part[2]), len(content) - 1)
        headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
        return self._answer(206, content[first : last + 1], headers)

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.small.broken and status in (200, 206) and headers:
            self.small.broken -= 1
            self.wfile.write(body[: len(body) // 2])
            self.close_connection = True
        else:
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is http.server's
        pass


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[Small]:
    """The small server, found by boto3 through the environment."""
    small = Small({f"pre/{name}": bytes([number]) * 100 for number, name in enumerate("abcdefgh")})
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (Handler,), {"small": small}))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    for name, value in S3Server(f"http://127.0.0.1:{server.server_port}").environment().items():
        monkeypatch.setenv(name, value)
    yield small
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_listing_comes_page_by_page(small: Small) -> None:
    walk = open_source("s3://bucket/pre").files()
    assert next(walk) == "a"
    assert len(small.asked) == 1
    assert list(walk) == list("bcdefgh")
    assert len(small.asked) == 3


def test_what_was_listed_is_not_asked_about_again(small: Small) -> None:
    source = open_source("s3://bucket/pre")
    listed = list(source.files())
    small.asked.clear()
    assert [source.exists(uri) for uri in (*listed, "nowhere")] == [True] * 8 + [False]
    assert all(source.stamp(uri, "content")[1].startswith("etag:") for uri in listed)
    assert small.asked == []


def test_bytes_come_in_ranges_of_one_version(small: Small) -> None:
    small.objects["pre/big"] = os.urandom(2 * PART + 5)
    small.objects["pre/empty"] = b""
    source = open_source("s3://bucket/pre/")
    size, version = source.stamp("big", "stat")
    assert (size, source.head("big", 7)) == (2 * PART + 5, small.objects["pre/big"][:7])
    small.asked.clear()
    assert source.read("big", version) == small.objects["pre/big"]
    assert len(small.asked) == 3
    assert source.read("empty") == b""
    small.objects["pre/big"] = b"other"
    with pytest.raises(Changed):
        source.read("big", version)


def test_answers_that_break_off_and_a_busy_server_are_tried_again(small: Small) -> None:
    source = open_source("s3://bucket/pre")
    small.broken = small.busy = 2
    assert source.read("c") == bytes([2]) * 100
    small.broken = 100
    with pytest.raises(TryAgain, match="s3://bucket/pre does not answer"):
        source.read("c")


def test_missing_and_outside(small: Small) -> None:
    source = open_source("s3://bucket/pre")
    with pytest.raises(FileNotFoundError):
        source.read("nowhere")
    with pytest.raises(OutsideArchive):
        source.read("../secret")
    assert not source.exists("nowhere")


@pytest.mark.parametrize("root", ["s3://", "s3://B", "s3://a_b/c"])
def test_roots_that_are_no_bucket(root: str) -> None:
    with pytest.raises(ValueError, match="is not of the form s3://bucket/prefix"):
        open_source(root)


@pytest.fixture(scope="module")
def real(s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> S3Server:
    """A real server with a MIMIC-CXR archive in the bucket `archives`."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3.environment().items():
            patch.setenv(name, value)
        archive = write_mimic(tmp_path_factory.mktemp("archive"))
        client = boto3.client("s3", config=boto3.session.Config(s3={"addressing_style": "path"}))
        client.create_bucket(Bucket="archives")
        for path in sorted(path for path in archive.rglob("*") if path.is_file()):
            key = f"mimic/{path.relative_to(archive).as_posix()}"
            client.put_object(Bucket="archives", Key=key, Body=path.read_bytes())
    return s3


@pytest.mark.s3
def test_an_archive_on_a_real_server_is_the_same_as_on_a_disk(
    real: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in real.environment().items():
        monkeypatch.setenv(name, value)
    there, here = (
        open_archive("mimic_cxr", "s3://archives/mimic"),
        open_archive("mimic_cxr", str(write_mimic(tmp_path))),
    )
    entries = sorted(there.entries(), key=lambda entry: entry.uri)
    assert entries == sorted(here.entries(), key=lambda entry: entry.uri)
    assert there.source.read(entries[0].uri, there.stamp(entries[0].uri, "stat")[1]) == here.source.read(entries[0].uri)
    assert there.read_text(f"{STUDIES[0].folder}.txt") == here.read_text(f"{STUDIES[0].folder}.txt")


@pytest.mark.s3
def test_a_real_server_refuses_wrong_keys(real: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in real.environment(secret="wrong").items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match="s3://archives/mimic cannot be opened: the server says SignatureDoesNotMatch"):
        list(open_source("s3://archives/mimic").files())
