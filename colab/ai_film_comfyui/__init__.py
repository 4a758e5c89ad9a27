"""A ComfyUI on Colab, or any box with a GPU, that draws for an ai-film studio: install it, fetch its models, open a tunnel,
register, register anew after each reconnect, and release at the end.

The notebook ``ai-film-comfyui.ipynb`` calls :class:`Session` cell by cell; ``python -m ai_film_comfyui`` does it all on a
rented box. Nothing but the standard library is needed.
"""

from ai_film_comfyui.session import Session
from ai_film_comfyui.settings import Settings

__all__ = ["Session", "Settings"]
