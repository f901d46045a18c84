"""Slow, readable twins of the fast paths: the specification that the tests compare against."""
