"""Tests of what hands runs over to other machines."""
