"""A finished run made readable: text, JSON, HTML, and the live view while it runs.

Nothing here is imported until it is asked for: `loadgen.report.html` alone pulls in bokeh and jinja2.
"""
