"""Speech enhancers, trained separately: a condition of the paper's data, half of its baseline."""
