"""A stand-in of Twilio."""
