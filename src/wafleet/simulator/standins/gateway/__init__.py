"""A stand-in of a gateway with the interface of WAHA."""
