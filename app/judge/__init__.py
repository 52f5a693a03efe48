"""Blind judging of picture sets: pairs without names, votes, and what they add up to."""
