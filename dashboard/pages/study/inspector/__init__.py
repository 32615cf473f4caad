"""What is beside the chart: the selected trials, or how to choose one."""
