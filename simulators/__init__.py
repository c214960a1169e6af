"""Patients who are not there: recorded and synthetic vital signs, sent by home devices that misbehave on request."""
