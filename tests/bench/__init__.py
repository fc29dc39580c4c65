"""Measurements. They print figures, judge none, and refuse wrong answers."""
