"""The LangGraph service: makes a plan of a brief (screenwriter → director → shot list → continuity)."""
