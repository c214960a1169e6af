"""Garbage through the real stack: what devices gone wrong send, each message with the codes it must be refused with."""
