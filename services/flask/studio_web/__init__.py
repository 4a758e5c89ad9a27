"""The studio's page and API: takes briefs, tells how films come along, hands out the videos."""
