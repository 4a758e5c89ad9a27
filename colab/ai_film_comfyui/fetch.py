"""Large files: fetched in parts, gone on with after a break, and used only when their checksum is right."""

import hashlib
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

CHUNK = 1 << 20


class _Careful(urllib.request.HTTPRedirectHandler):
    """A redirect to another host takes no token along."""

    def redirect_request(self, request, fp, code, message, headers, new_url):
        following = super().redirect_request(request, fp, code, message, headers, new_url)
        if following is not None and urlsplit(new_url).netloc != urlsplit(request.full_url).netloc:
            following.remove_header("Authorization")
        return following


opener = urllib.request.build_opener(_Careful)


def sha256(path: Path) -> str:
    """The checksum of a file."""
    total = hashlib.sha256()
    with path.open("rb") as content:
        while part := content.read(CHUNK):
            total.update(part)
    return total.hexdigest()


def fetch(url: str, target: Path, checksum: str, token: str = "", tries: int = 8, pause: float = 1.0) -> bool:
    """Have ``target`` hold what ``url`` gives and ``checksum`` says; tells whether it had to be fetched.

    Raises OSError when it can't be had, ValueError when it is something else.
    """
    if target.exists() and sha256(target) == checksum:
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    failure: Exception | None = None
    for attempt in range(tries):
        if attempt:
            time.sleep(min(pause * 2 ** (attempt - 1), 30))
        have = part.stat().st_size if part.exists() else 0
        request = urllib.request.Request(url, headers={"User-Agent": "ai-film"})
        if have:
            request.add_header("Range", f"bytes={have}-")
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with opener.open(request, timeout=60) as answer:
                with part.open("ab" if answer.status == 206 else "wb") as out:
                    while piece := answer.read(CHUNK):
                        out.write(piece)
                length = answer.headers.get("Content-Length")
                if length is not None and part.stat().st_size < (have if answer.status == 206 else 0) + int(length):
                    raise OSError("the connection broke off")
        except urllib.error.HTTPError as error:
            if error.code == 416:  # there is no more: it is whole, or something else
                failure = error
            elif error.code in (408, 425, 429) or error.code >= 500:
                failure = error
                continue
            else:
                raise OSError(f"{target.name}: HTTP {error.code} from {urlsplit(url).netloc}") from error
        except OSError as error:
            failure = error
            continue
        if (got := sha256(part)) != checksum:
            part.unlink()
            raise ValueError(f"{target.name}: its SHA-256 is {got}, and should be {checksum}")
        part.rename(target)
        return True
    raise OSError(f"{target.name}: {failure} (tried {tries} times)")
