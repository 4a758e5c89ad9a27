"""``python -m ai_film_comfyui``: all of a session, for a rented box, a container or a workstation."""

import argparse
import sys

from ai_film_comfyui import Session, Settings
from ai_film_comfyui.registration import RefusedError
from ai_film_comfyui.settings import SettingError


def main(arguments: list[str] | None = None) -> int:
    """Run a session; returns the exit code: 0 ended in order, 1 failed, 2 settings that can't work, 3 refused by the studio."""
    parser = argparse.ArgumentParser(
        prog="python -m ai_film_comfyui",
        description="Draw for an ai-film studio with this machine's GPU, until interrupted.",
        epilog="Settings come from the environment: AI_FILM_BRIDGE and AI_FILM_BRIDGE_SECRET are needed; "
        "docs/remote-gpu.md has the others.",
    )
    parser.add_argument("--check", action="store_true", help="say whether the settings can work, and do nothing")
    given = parser.parse_args(arguments)
    try:
        settings = Settings.read()
        settings.model_list()
        if given.check:
            print("the settings can work")
            return 0
        Session(settings, say=lambda text: print(text, flush=True)).run()
    except SettingError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    except RefusedError:
        return 3  # it was said
    except (OSError, ValueError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
