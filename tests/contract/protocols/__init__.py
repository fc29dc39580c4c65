"""Wire protocols, byte by byte."""
