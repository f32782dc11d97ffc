"""The report: one HTML file that needs nothing else, from `application.report.ReportData`."""
