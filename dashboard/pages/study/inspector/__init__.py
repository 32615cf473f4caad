"""What stands beside the chart: the selected trials, or how to choose one."""
