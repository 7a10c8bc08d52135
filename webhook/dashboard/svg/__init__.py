"""The drawings of the page, made as SVG by pure functions."""
