"""Pictures of studies: plotly figures from columns of trials, nothing of pages or callbacks."""
