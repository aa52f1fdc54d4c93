"""The tests of wafleet. A package of this name, so that no other of this name that is installed hides them."""
