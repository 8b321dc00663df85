"""A comparison of methods: plan, run, measure, judge, results."""
