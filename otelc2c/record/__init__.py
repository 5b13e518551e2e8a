"""What a worker writes: cells and ring, and OpenTelemetry's providers on them."""
