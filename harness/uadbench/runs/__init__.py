"""Campaigns: which runs a command means, where they are kept, and how they are carried out one after another."""
