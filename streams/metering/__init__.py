"""METER's pure core: conversations and sessions, order-free, with corrections (rules U1-U12).

`windows` holds one end user's open units, `meter` one input partition. No I/O, no clock.
"""
