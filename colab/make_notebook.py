"""Write ai-film-comfyui.ipynb: its cells are the few calls below, so that what they do is in the tested module.

``python make_notebook.py`` in this folder; a test compares the file with what this would write.
"""

import json
from pathlib import Path

SOURCE = "git+https://github.com/ai-film/ai-film@main#subdirectory=colab"

CELLS = [
    (
        "markdown",
        """# A GPU for your film studio

This notebook runs [ComfyUI](https://github.com/comfyanonymous/ComfyUI) on Colab's GPU and lets your
[ai-film](https://github.com/ai-film/ai-film/blob/main/docs/remote-gpu.md) studio draw with it.

1. *Runtime → Change runtime type → T4 GPU*.
2. The key in the left bar: add the secrets `AI_FILM_BRIDGE` (the bridge's URL) and `AI_FILM_BRIDGE_SECRET`
   (`kubectl -n ai-film get secret ai-film -o jsonpath='{.data.bridge-secret}' | base64 -d`), and let this notebook read them.
3. *Runtime → Run all*. The first time takes some minutes: the model has 7 GB.

The last cell runs for as long as the studio may draw here. Stop it, and the studio is told.
Colab's free runtimes are [not for serving others](https://research.google.com/colaboratory/faq.html): use a paid one.""",
    ),
    ("code", f'%pip install --quiet "{SOURCE}"'),
    ("code", "from ai_film_comfyui import Session, Settings\n\nsession = Session(Settings.from_colab())"),
    ("code", "session.install()"),
    ("code", "session.models()"),
    ("code", "session.draw()"),
]


def notebook() -> str:
    """The notebook's text (nbformat 4.5)."""
    cells = []
    for number, (kind, text) in enumerate(CELLS, 1):
        cell = {"cell_type": kind, "id": f"cell-{number}", "metadata": {}, "source": text.splitlines(keepends=True)}
        if kind == "code":
            cell |= {"execution_count": None, "outputs": []}
        cells.append(cell)
    metadata = {
        "accelerator": "GPU",
        "colab": {"gpuType": "T4", "provenance": []},
        "kernelspec": {"display_name": "Python 3", "name": "python3"},
        "language_info": {"name": "python"},
    }
    whole = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    Path(__file__).with_name("ai-film-comfyui.ipynb").write_text(notebook(), encoding="utf-8")
