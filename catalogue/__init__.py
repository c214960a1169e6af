"""What Agora knows of vitals, units, device models and payload formats, as data. Pure.

A new vital or device model is one entry in one place; everything else reads the registries.
"""
