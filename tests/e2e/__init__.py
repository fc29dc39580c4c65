"""Tests from outside: real server processes, real sockets."""
