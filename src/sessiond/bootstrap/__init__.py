"""The composition root: the only package that knows everything, and puts it together."""
