"""Launchers: what hands runs over to other machines."""
