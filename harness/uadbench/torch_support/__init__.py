"""What plugins built on torch share. This file imports nothing, so that torch loads with the first use."""
