"""ACCOUNTS: rules by table, laws by property, and a second model that recounts."""
