"""An archive in a bucket: `s3://bucket/prefix`. Endpoint, region and credentials come the usual AWS ways.

boto3 is imported where it is needed: archives on a disk do without it.
"""

import errno
import io
import random
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO, TypeVar

from components.core.archives.source import Changed, OutsideArchive, Source, Stamp, VersionKind
from components.core.trouble import TryAgain

SCHEME = "s3://"
PLACE = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.\-]{1,61}[a-z0-9])(/(?P<prefix>.*))?")
PART = 8 << 20  # bytes of a ranged read; larger objects are read by several at once
READERS = 4
TRIES = 5  # of a body that breaks off; requests that are answered with trouble are repeated by botocore
WRONG_KEYS = frozenset(
    ("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired",
     "AuthorizationHeaderMalformed", "RequestTimeTooSkewed", "NoSuchBucket", "InvalidBucketName", "AuthFailure")
)  # fmt: skip

Result = TypeVar("Result")


class S3Source(Source):
    """A prefix of a bucket.

    Objects that were listed are known from then on: nothing is asked about them one by one.

    Raises:
        ValueError: the root is not of the form s3://bucket/prefix.
    """

    def __init__(self, root: str) -> None:
        place = PLACE.fullmatch(root)
        if place is None:
            raise ValueError(f"the archive's root {root} is not of the form s3://bucket/prefix")
        self.root, self.bucket = root, place["bucket"]
        prefix = (place["prefix"] or "").strip("/")
        self.prefix = f"{prefix}/" if prefix else ""
        self._client: Any = None
        self._known: dict[str, Stamp] = {}
        self._listed: list[str] = []

    def _key(self, uri: str) -> str:
        if not uri or "\0" in uri or ".." in uri.split("/"):
            raise OutsideArchive("the archive names a file by a path that is not below its root")
        return self.prefix + uri

    @property
    def client(self) -> Any:
        """A boto3 client, made once a process."""
        if self._client is None:
            self._client = self._told(_make_client)
        return self._client

    def _told(self, action: Callable[[], Result]) -> Result:
        """What an action gives; its errors in our words, without the key, which may name a patient."""
        from botocore import exceptions

        try:
            return action()
        except exceptions.ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            raise self._meaning(code, status) from None
        except (exceptions.HTTPClientError, exceptions.ConnectionError, exceptions.IncompleteReadError) as error:
            raise TryAgain(f"the archive at {self.root} does not answer ({type(error).__name__})") from None
        except (exceptions.BotoCoreError, ValueError) as error:  # no credentials, no such profile, an odd endpoint
            raise ValueError(f"the archive at {self.root} cannot be opened: {error}") from None

    def _meaning(self, code: str, status: int) -> Exception:
        if code in WRONG_KEYS:
            return ValueError(f"the archive at {self.root} cannot be opened: the server says {code}")
        if status == 404:
            return FileNotFoundError(errno.ENOENT, "no such object")
        if status == 412:
            return Changed()
        if status in (401, 403):
            return PermissionError(errno.EACCES, "access denied")
        return TryAgain(f"the archive at {self.root} cannot be read: the server says {code or status}")

    def files(self, folder: str = "") -> Iterator[str]:
        """See `Source.files`: a page at a time, in the order of the keys.

        Raises:
            ValueError: the credentials do not open the bucket, or there is none.
        """
        below = f"{folder}/" if folder else ""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix + below)
        try:
            walk = iter(pages)
            while (page := self._told(lambda: next(walk, None))) is not None:
                for found in page.get("Contents", ()):
                    uri = found["Key"][len(self.prefix) :]
                    if uri and not uri.endswith("/"):  # some tools leave empty objects to stand for folders
                        self._known[uri] = found["Size"], f"etag:{found['ETag'].strip(chr(34))}"
                        yield uri
        except OSError as error:
            raise ValueError(f"the archive at {self.root} cannot be listed: {error.strerror}") from None
        self._listed.append(below)

    def exists(self, uri: str) -> bool:
        """See `Source.exists`."""
        self._key(uri)
        if uri in self._known:
            return True
        if any(uri.startswith(folder) for folder in self._listed):
            return False
        try:
            self.stamp(uri, "stat")
        except FileNotFoundError:
            return False
        return True

    def stamp(self, uri: str, kind: VersionKind) -> Stamp:
        """See `Source.stamp`: `etag:…`, whatever the kind."""
        if uri not in self._known:
            answer, _ = self._get(uri, 0, 1)
            size = int(answer.get("ContentRange", "/0").rpartition("/")[2])
            self._known[uri] = size, f"etag:{answer.get('ETag', '').strip(chr(34))}"
        return self._known[uri]

    def head(self, uri: str, count: int) -> bytes:
        """See `Source.head`."""
        return self._get(uri, 0, count)[1]

    def read(self, uri: str, version: str | None = None) -> bytes:
        """See `Source.read`: large objects by several ranges at once, all of one version."""
        answer, first = self._get(uri, 0, PART, version)
        size = int(answer.get("ContentRange", f"/{len(first)}").rpartition("/")[2])
        if size <= len(first):
            return first
        same = f"etag:{answer['ETag'].strip(chr(34))}"
        with ThreadPoolExecutor(READERS) as pool:
            parts = pool.map(lambda start: self._get(uri, start, PART, same)[1], range(PART, size, PART))
            return b"".join((first, *parts))

    def open(self, uri: str) -> BinaryIO:
        """See `Source.open`."""
        return io.BytesIO(self.read(uri))

    def _get(self, uri: str, start: int, count: int, version: str | None = None) -> tuple[dict[str, Any], bytes]:
        """The answer to a ranged request, and its body."""
        from botocore import exceptions

        broken = (exceptions.HTTPClientError, exceptions.ConnectionError, exceptions.IncompleteReadError)
        wanted = {"Bucket": self.bucket, "Key": self._key(uri), "Range": f"bytes={start}-{start + count - 1}"}
        if version is not None and version.startswith("etag:"):
            wanted["IfMatch"] = f'"{version.removeprefix("etag:")}"'
        client = self.client

        def get() -> tuple[dict[str, Any], bytes]:
            for attempt in range(TRIES):
                try:
                    answer = client.get_object(**wanted)
                    return answer, answer["Body"].read()
                except broken:
                    if attempt + 1 == TRIES:
                        raise
                    time.sleep(random.uniform(0.5, 1) * 0.2 * 2**attempt)
                except exceptions.ClientError as error:
                    if error.response["ResponseMetadata"]["HTTPStatusCode"] != 416 or "Range" not in wanted:
                        raise
                    del wanted["Range"]  # none fits into an empty object
            raise AssertionError

        return self._told(get)


def _make_client() -> Any:
    import boto3
    from botocore.config import Config

    standard = {"retries": {"mode": "standard", "max_attempts": 6}, "connect_timeout": 10, "read_timeout": 60}
    session = boto3.session.Session()
    client = session.client("s3", config=Config(**standard, max_pool_connections=2 * READERS))
    if re.search(r"\.amazonaws\.com(\.cn)?$", client.meta.endpoint_url):
        return client
    # Other servers seldom know a host name for each bucket.
    return session.client(
        "s3", config=Config(**standard, max_pool_connections=2 * READERS, s3={"addressing_style": "path"})
    )
