"""What runs in containers, checked without an engine: compose file, image, dashboards, rules; the commands outside."""
