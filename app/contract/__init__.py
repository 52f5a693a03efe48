"""What gateway and worker agree on: jobs, results, worker cards, Redis keys and the queue."""
