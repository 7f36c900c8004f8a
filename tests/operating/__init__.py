"""Operators' commands, apart from a running stack; with one they are tested in end_to_end."""
