"""What a session needs to know: two secrets, and what differs from the usual."""

import contextlib
import dataclasses
import json
import os
import re
from collections.abc import Callable
from pathlib import Path

COMFYUI = "https://github.com/comfyanonymous/ComfyUI"
COMFYUI_RELEASE = "v0.3.75"
# The sum is of that release's binary: another one needs its own.
CLOUDFLARED = "https://github.com/cloudflare/cloudflared/releases/download/2024.12.2/cloudflared-linux-amd64"
CLOUDFLARED_SHA256 = "5237675a5e806120729acc78c5be02f9db5f406717699587abfa72b49b39fe40"


class SettingError(ValueError):
    """A setting is missing or wrong; the text says which, and what to do."""


@dataclasses.dataclass
class Settings:
    """Every field can be given as an environment variable ``AI_FILM_<NAME>``, or on Colab as a secret of that name."""

    bridge: str = ""
    """URL of the studio's bridge, such as ``https://bridge.example.com``. Empty where it can't be reached: ``rendezvous``."""
    bridge_secret: str = dataclasses.field(default="", repr=False)
    """The key bridge-secret of the studio's Secret."""
    rendezvous: str = ""
    """Where registrations are left for a studio that can't be called: ``gist:<id>``, or an https URL that takes a PUT."""
    rendezvous_token: str = dataclasses.field(default="", repr=False)
    """A bearer for it; for a gist a GitHub token that may write gists."""
    name: str = "colab"
    """The server's name in the studio. Two notebooks need two."""
    weight: float = 1.0
    """Its share of the work beside others of its pace."""
    tunnel_url: str = ""
    """A tunnel with a name of its own: its URL. Empty: a quick one, with a new URL each time."""
    tunnel_token: str = dataclasses.field(default="", repr=False)
    """The token of that tunnel."""
    models: str = ""
    """A JSON list of models, as ``models.json``. Empty: that one, the studio's default."""
    model_token: str = dataclasses.field(default="", repr=False)
    """A bearer for the hosts of the models, where they ask for one."""
    directory: str = "ComfyUI"
    """Where ComfyUI is put."""
    port: int = 8188
    """Where it listens, on this machine only."""
    arguments: str = ""
    """More arguments for its main.py, such as ``--lowvram``."""
    python: str = ""
    """The Python that runs ComfyUI and has PyTorch. Empty: this one."""

    @classmethod
    def read(cls, get: Callable[[str], str | None] = os.environ.get) -> "Settings":
        """Take settings from the environment, or from whatever ``get`` knows. Raises SettingError."""
        given = {}
        for field in dataclasses.fields(cls):
            value = get(f"AI_FILM_{field.name.upper()}")
            if value not in (None, ""):
                try:
                    given[field.name] = field.type(value) if isinstance(field.type, type) else str(value)
                except ValueError:
                    raise SettingError(f"AI_FILM_{field.name.upper()} is {value!r}, and should be a number") from None
        return cls(**given).checked()

    @classmethod
    def from_colab(cls) -> "Settings":
        """Take settings from Colab's secrets (the key in the left bar), and from the environment where there is none."""
        from google.colab import userdata

        def get(name: str) -> str | None:
            # A secret that is not there, or that this notebook may not read, is none; what is needed is asked for below.
            with contextlib.suppress(Exception):
                return userdata.get(name)
            return os.environ.get(name)

        return cls.read(get)

    def checked(self) -> "Settings":
        """These settings, if they can work. Raises SettingError."""
        if not self.bridge_secret:
            raise SettingError(
                "AI_FILM_BRIDGE_SECRET is missing. Read it with: kubectl -n ai-film get secret ai-film "
                "-o jsonpath='{.data.bridge-secret}' | base64 -d"
            )
        if not self.bridge and not self.rendezvous:
            raise SettingError("AI_FILM_BRIDGE is missing: the bridge's URL, or AI_FILM_RENDEZVOUS where it can't be reached")
        for name in ("bridge", "tunnel_url"):
            value = getattr(self, name).rstrip("/")
            setattr(self, name, value)
            if value and not re.fullmatch(r"https?://[^\s/@?#]+(/[^\s?#]*)?", value):
                raise SettingError(f"AI_FILM_{name.upper()} is no URL such as https://bridge.example.com")
        if self.rendezvous and not re.fullmatch(r"gist:[0-9a-f]+|https?://\S+", self.rendezvous):
            raise SettingError("AI_FILM_RENDEZVOUS is neither gist:<id> nor a URL")
        if bool(self.tunnel_url) != bool(self.tunnel_token):
            raise SettingError("a tunnel with a name needs both AI_FILM_TUNNEL_URL and AI_FILM_TUNNEL_TOKEN")
        if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?", self.name):
            raise SettingError(f"AI_FILM_NAME is {self.name!r}: 1 to 40 of a-z, 0-9 and hyphens between them")
        return self

    def model_list(self) -> list[dict]:
        """The models to fetch: ``name``, ``url``, ``path`` below the models, ``sha256``, ``bytes``. Raises SettingError."""
        source = Path(self.models) if self.models else Path(__file__).with_name("models.json")
        try:
            models = json.loads(source.read_text(encoding="utf-8"))["models"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SettingError(f"{source}: no list of models: {error}") from error
        for model in models:
            path = Path(str(model.get("path", "")))
            if not path.parts or path.is_absolute() or ".." in path.parts:
                raise SettingError(f"{source}: {model.get('name')}: path must be below ComfyUI's models")
            if not re.fullmatch(r"[0-9a-f]{64}", str(model.get("sha256", ""))):
                raise SettingError(f"{source}: {model.get('name')}: sha256 is missing")
        return models
