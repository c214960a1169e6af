"""The generated reference: tables and schemas in ``docs/reference`` made from the code, so that they cannot disagree with it."""
