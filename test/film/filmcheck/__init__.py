"""Measures a finished film by decoding it, and says by name what is not as planned.

>>> python -m filmcheck film.mp4 --film film.json --stills stills/ --brief brief.md --events events.json

An assertion's name says what was looked at (``s01-02.parallax``); every one can fail, and test_bypass.py makes each fail by
leaving out the stage whose work it shows.
"""

from filmcheck.finding import Finding, Report

__all__ = ["Finding", "Report"]
