"""What deleted films leave behind goes: files, progress, LangGraph's plan, the relay's prompts; runs are Dagster's share.

A deletion is a row for each share (`aifilm.films.SHARES`), so it survives whatever dies, and is tried until it is done. Every
replica works on them: removing what another removes at the same time is harmless.
"""

from __future__ import annotations

import http.client
import logging
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping

import redis

from aifilm.films import Films
from aifilm.progress import Progress
from aifilm.service import service_token
from studio_web.files import Films as Files

log = logging.getLogger("flask")


class Removal:
    """Removes Flask's shares of deleted films.

    `environment`: `LANGGRAPH_URL`, `COMFYUI_URL` and, with them, `SERVICE_TOKEN`.
    """

    def __init__(self, films: Films, files: Files, progress: Progress, environment: Mapping[str, str]):
        self._films = films
        self._remove: dict[str, Callable[[str], None]] = {"files": files.remove, "progress": progress.forget}
        for share, variable, path in (("plan", "LANGGRAPH_URL", "/v1/plans/"), ("prompts", "COMFYUI_URL", "/v1/films/")):
            if url := environment.get(variable, "").rstrip("/"):
                self._remove[share] = _Elsewhere(url + path, service_token(environment))
            else:
                log.warning("%s is not set: what it keeps of deleted films stays", variable)

    def round(self) -> None:
        """Remove every deleted film whose run has ended, and the shares that are due."""
        for film_id in self._films.removable():
            self._films.remove(film_id)
            log.info("film removed", extra={"film": film_id})
        for share, remove in self._remove.items():
            for film_id in self._films.deletions(share):
                try:
                    remove(film_id)
                except (OSError, http.client.HTTPException, redis.RedisError) as error:
                    self._films.put_off(film_id, share, str(error) or type(error).__name__)
                    log.warning("not removed yet", extra={"film": film_id, "share": share, "error": str(error)})
                    if isinstance(remove, _Elsewhere):
                        break  # the others would find the same
                    continue
                self._films.removed(film_id, share)
                log.info("removed", extra={"film": film_id, "share": share})


class _Elsewhere:
    """Removes what another service keeps of a film; raises OSError or HTTPException until it says that it is gone."""

    def __init__(self, url: str, token: str):
        self._url, self._token = url, token
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def __call__(self, film_id: str) -> None:
        asked = urllib.request.Request(
            self._url + film_id, method="DELETE", headers={"Authorization": f"Bearer {self._token}", "X-Film-Id": film_id}
        )
        try:
            self._opener.open(asked, timeout=10).close()
        except urllib.error.HTTPError as answer:
            answer.close()
            if answer.code not in (404, 410):
                raise
