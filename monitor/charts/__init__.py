"""Charts as SVG made on the server: each has a title, tooltips, and its numbers as a table for those who cannot see it.

Colours are classes: the page's style sheet gives them, light and dark. Every text is escaped here.
"""
