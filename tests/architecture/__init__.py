"""The code about itself: layers, shape, names, and the files around the code."""
