"""The account API: commands to accounts over HTTP, each answered with the ledger record it led to."""
