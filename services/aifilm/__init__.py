"""What the studio's Python services share: the HTTP scaffold, jobs, volumes, the plan and the studio's database."""
