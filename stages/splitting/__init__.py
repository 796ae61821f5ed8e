"""Which tracks a model learns from, and which it is scored on."""
