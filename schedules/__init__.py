"""Numbers in, plans out: change profiles, schedules, costs, plan books and the planner."""
