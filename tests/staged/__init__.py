"""A method with stages that only the tests know."""
